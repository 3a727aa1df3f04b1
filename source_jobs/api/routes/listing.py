"""Long lists over HTTP: a page of what the source job shows, without what a caller may not see."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from starlette.requests import Request

from source_jobs.api.context import Door
from source_jobs.api.errors import refuse
from source_jobs.api.routes.responses import asked

Record = dict[str, object]

_CURSOR_CHARACTERS_MAX = 1_000
_NUMBER = re.compile(r"[0-9]{1,6}")


async def page_for(
    request: Request,
    door: Door,
    what: str,
    see: Callable[[Record], Record | None],
    place: str | None = None,
) -> Record:
    """A page of a list, as `?after=&limit=&brief=` asks; it says `after` where more follow.

    `see` makes of each record what the caller may see, or None. Where some are None, `place` is the
    key of what the next page begins after, so that it tells of nothing that is not seen. A page of
    which nothing is seen is passed over. Raises Refusal.
    """
    after, limit, brief = _wanted(request)
    seen: list[Record] = []
    most = limit
    while True:
        page = partial(door.client.page, what, after, most, brief=brief)
        records, after = await asked(page)
        seen += [each for each in map(see, records) if each is not None]
        if seen or not after:
            break
        most = 0
    follows = bool(after) or 0 < limit < len(seen)
    seen = seen[: limit or None]
    if not follows:
        return {what: seen}
    return {what: seen, "after": after if place is None else str(seen[-1][place])}


def _wanted(request: Request) -> tuple[str, int, bool]:
    """After which entry to begin, how many are wanted (0: as many as a page has), and if brief."""
    asks = request.query_params
    after, limit, brief = asks.get("after", ""), asks.get("limit", "0"), asks.get("brief", "0")
    if len(after) > _CURSOR_CHARACTERS_MAX:
        raise refuse(400, "`after` is what the page before said")
    if not _NUMBER.fullmatch(limit):
        raise refuse(400, "`limit` is a number up to 999,999")
    if brief not in ("0", "1"):
        raise refuse(400, "`brief` is 0 or 1")
    return after, int(limit), brief == "1"
