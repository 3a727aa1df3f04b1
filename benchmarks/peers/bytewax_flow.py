"""Where a Bytewax dataflow gets batches of events from, and where its rows go; needs Bytewax."""

from __future__ import annotations

from collections.abc import Iterator

from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from benchmarks.peers.questions import Event, Rows


class _Batches(StatelessSourcePartition[Event]):
    def __init__(self, given: Iterator[list[Event]]) -> None:
        self._given = given

    def next_batch(self) -> list[Event]:
        return next(self._given)


class Given(DynamicSource[Event]):
    """Gives batches, to its one worker."""

    def __init__(self, given: Iterator[list[Event]]) -> None:
        self._given = given

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Batches:  # noqa: ARG002
        """The only partition."""
        return _Batches(self._given)


class _Rows(StatelessSinkPartition[Event]):
    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def write_batch(self, items: list[Event]) -> None:
        self._rows.extend(items)


class Kept(DynamicSink[Event]):
    """Puts rows into a list."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Rows:  # noqa: ARG002
        """The only partition."""
        return _Rows(self._rows)
