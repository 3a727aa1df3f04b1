"""A query as who asks it plans it: a text without `from` is refused with the streams there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mql.errors import UnnamedStreamError
from mql.language.stream_hint import with_streams
from mql.layout import RowLayout, layout_of
from mql.planner.plan import plan
from source_jobs.client.actions import SourceJobError
from source_jobs.client.paging import Records, all_pages


class Lister(Protocol):
    """A client, as far as it matters here."""

    @property
    def connected(self) -> bool:
        """Whether the source job answers at this moment."""

    def page(
        self, what: str, after: str = "", limit: int = 0, *, brief: bool = False
    ) -> tuple[Records, str]:
        """Some of what there is, and the `after` of those that follow."""


def live_layout(query: str, client: Lister | None) -> RowLayout:
    """The rows of a query's answer. Raises QueryError; which streams there are a client is asked.

    That takes a moment: give none where nothing may wait.
    """
    try:
        return layout_of(plan(query, live=True).steps)
    except UnnamedStreamError as error:
        raise error if client is None else among_streams(error, client) from None


def among_streams(error: UnnamedStreamError, client: Lister) -> UnnamedStreamError:
    """The error with the streams of a source job, or as it was where that does not answer."""
    if not client.connected:
        return error
    try:
        return with_streams(error, stream_names(client.page))
    except SourceJobError:
        return error


def stream_names(page: Callable[..., tuple[Records, str]]) -> list[str]:
    """The streams that agents offer, by alphabet. Raises SourceJobError."""
    records = all_pages(lambda after: page("streams", after, brief=True))
    return [str(record["stream"]) for record in records]
