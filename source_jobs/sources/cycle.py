"""Whether a source job's answer would flow back into it, and by which way."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable

from mql.wire.upstream import Feed


def find_circle(
    own: Collection[str], upstream: str, shown: str, feeds: Iterable[Feed]
) -> list[str] | None:
    """The way of a circle, as names for people, from one of our `own` jobs back to it; or None.

    `own` are the jobs, by their random names, into which the answer of the job `upstream` is to
    flow. That is known as `shown`, and `feeds` are those upstream of it.

    >>> find_circle({"a"}, "c", "C", [Feed("b", "B", "c"), Feed("a", "A", "b")])
    ['A', 'B', 'C', 'A']
    >>> find_circle({"a"}, "a", "A", [])
    ['A', 'A']
    """
    before: dict[str, list[Feed]] = {}
    for feed in feeds:
        before.setdefault(feed.into, []).append(feed)
    waiting = deque([(upstream, [shown])])
    seen = {upstream}
    while waiting:
        job, way = waiting.popleft()
        if job in own:
            return [*way, way[0]]
        for feed in before.get(job, ()):
            if feed.job not in seen:
                seen.add(feed.job)
                waiting.append((feed.job, [feed.shown, *way]))
    return None
