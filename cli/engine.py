"""What the command needs of the engine, and no more: the shapes of a running query.

`mql.result` has the classes; a test gives writers something smaller.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from mql.warnings.record import QueryWarning


class Chunk(Protocol):
    """A piece of a query's output: a closed window, or some rows of a query without window.

    No rows and no `start_ms`: a heartbeat, which says only that input is being read.
    """

    @property
    def start_ms(self) -> int | None:
        """The window's start in ms since 1970; None without a window of time."""

    @property
    def end_ms(self) -> int | None:
        """The window's end, which is not in it."""

    @property
    def num_rows(self) -> int:
        """How many rows."""

    @property
    def table(self) -> pa.Table:
        """The rows as columns."""

    def rows(self) -> list[dict[str, object]]:
        """The rows as dicts."""

    def json_lines(self) -> bytes:
        """The rows as NDJSON, with `_window_start` and `_window_end` first where windowed."""


class Statistics(Protocol):
    """Counts that grow while a result is read."""

    @property
    def bytes_read(self) -> int:
        """Bytes of input so far, compressed ones where it is compressed."""

    @property
    def bytes_total(self) -> int | None:
        """Bytes of input in all; None for a pipe."""

    @property
    def events(self) -> int:
        """Events read, and lines passed over."""

    @property
    def unread(self) -> int:
        """Lines passed over unread, as they cannot match."""

    @property
    def bad_lines(self) -> int:
        """Lines that are not a JSON object."""

    @property
    def first_bad_line(self) -> int | None:
        """The number of the first of them, from 1."""

    @property
    def late(self) -> int:
        """Events that came after their windows had closed."""

    @property
    def without_time(self) -> int:
        """Events that have no time, and so are in no window."""

    @property
    def notes(self) -> list[str]:
        """What a person should know of this run, a sentence each."""


class Result(Protocol):
    """A running query."""

    @property
    def statistics(self) -> Statistics:
        """Counts, live."""

    @property
    def warnings(self) -> tuple[QueryWarning, ...]:
        """What the query likely does not mean; more may come with the output."""

    def chunks(self) -> Iterator[Chunk]:
        """The output as it comes."""

    def stop_reading(self) -> None:
        """Take the input as ended here: what is there still comes. Safe in a signal handler."""

    def close(self) -> None:
        """Let go of the input."""
