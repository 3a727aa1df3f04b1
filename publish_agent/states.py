"""A windowed aggregate that runs in the agent: states travel in place of its events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from mql.batch import TIME, Ints
from mql.exec.limits import Limits
from mql.exec.partial import PartialAggregate
from mql.planner.logical import WindowAggregate
from mql.wire.payload import write_batch

MANY = 20_000
"""With so many groups they are sent before their time."""

_LIMITS = Limits(groups=1_000_000, values=1_000_000)
_ROWS = 8_192
"""Groups in one payload."""


@dataclass(frozen=True, slots=True)
class StateLoad:
    """A payload of states: of how many events, by the times in ms at which their panes begin."""

    payload: bytes
    times: Ints
    events: Ints


class AgentStates:
    """The states of one query since they were sent last."""

    def __init__(
        self, aggregate: WindowAggregate, columns: tuple[str, ...], now_ms: Callable[[], int]
    ) -> None:
        self._columns = list(columns)
        self._partial = PartialAggregate(aggregate, _LIMITS, now_ms)

    @property
    def is_full(self) -> bool:
        """Whether there are so many groups that they are sent at once."""
        return self._partial.size >= MANY

    def add(self, batch: pa.RecordBatch, rows: Ints, times: pa.Array) -> Ints:
        """Take some rows of a batch in, with their times; returns those that are of no window.

        They are counted from 0 on. Raises RunError at a limit.
        """
        part = batch.select(self._columns)
        if len(rows) < batch.num_rows:
            part = part.take(pa.array(rows))
        return self._partial.update(part.append_column(TIME, times))

    def take(self) -> Iterator[StateLoad]:
        """All states as payloads; they begin anew."""
        batch = self._partial.take()
        if batch is None:
            return
        for start in range(0, batch.num_rows, _ROWS):
            part = batch.slice(start, _ROWS)
            yield StateLoad(write_batch(part).to_pybytes(), *self._partial.counts(part))
