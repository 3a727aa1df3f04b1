"""A windowed aggregate that runs in the agent: states travel in place of its events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.layout import TIME, Ints
from mql.exec.aggregates.partial_aggregate import PartialAggregate
from mql.exec.limits import Limits
from mql.language.syntax import Property
from mql.planner.logical import WindowAggregate
from mql.wire.payload import write_batch

MANY = 20_000
"""With so many groups they are sent before their time."""

_LIMITS = Limits(groups=1_000_000, values=1_000_000)
_ROWS = 8_192
"""Groups in one payload."""

_GROUP_BYTES = 500
"""What a group takes beside the values that it keeps."""


@dataclass(frozen=True, slots=True)
class StateLoad:
    """A payload of states: of how many events, by the times in ms at which their panes begin.

    Each of the events stands for `weight`.
    """

    payload: bytes
    weight: int
    times: Ints
    events: Ints


class AgentStates:
    """The states of one query's source since they were sent last, each weight's by themselves.

    A query `scales` if it samples by itself, and its counts and sums are to be those of all events.
    """

    def __init__(
        self,
        aggregate: WindowAggregate,
        columns: tuple[str, ...],
        now_ms: Callable[[], int],
        *,
        source: int = 0,
        scales: bool = False,
    ) -> None:
        self._source = source
        self._scales = scales
        self._columns = list(columns)
        self._aggregate = aggregate
        self._now_ms = now_ms
        self._partials: dict[int, PartialAggregate] = {}
        self._taken_bytes = 0

    @property
    def size(self) -> int:
        """How many groups there are."""
        return sum(partial.size for partial in self._partials.values())

    @property
    def bytes(self) -> int:
        """No more than about so many bytes are held."""
        return self._taken_bytes + self.size * _GROUP_BYTES

    @property
    def is_full(self) -> bool:
        """Whether there are so many groups that they are sent at once."""
        return self.size >= MANY

    def add(
        self,
        batch: pa.RecordBatch,
        rows: Ints,
        times: pa.Array,
        weight: int,
        limits: Mapping[Property, float],
    ) -> Ints:
        """Take some rows of a batch in, with their times; returns those that are of no window.

        They are counted from 0 on; each stands for `weight`, and none has a number beyond the
        `limits` if it is of a sample. Raises RunError at a limit of what may be held.
        """
        part = batch.select(self._columns)
        if len(rows) < batch.num_rows:
            part = kernels.take(part, rows)
        partial = self._partials.get(weight)
        if partial is None:
            partial = self._partials[weight] = PartialAggregate(
                self._aggregate, _LIMITS, self._now_ms,
                source=self._source, spread=weight > 1 or self._scales,
            )  # fmt: skip
        self._taken_bytes += part.nbytes
        return partial.update(part.append_column(TIME, times), limits)

    def take(self, before_ms: int | None = None) -> Iterator[StateLoad]:
        """The states of panes that begin before a time, or all, as payloads; those begin anew."""
        size = self.size
        batches = [(weight, part, part.take(before_ms)) for weight, part in self._partials.items()]
        # An empty one still knows how many events of the last ms have come.
        self._partials = {weight: part for weight, part, _ in batches if part.size or weight == 1}
        self._taken_bytes = self._taken_bytes * self.size // max(size, 1)
        for weight, partial, batch in batches:
            if batch is None:
                continue
            for start in range(0, batch.num_rows, _ROWS):
                part = batch.slice(start, _ROWS)
                payload = write_batch(part).to_pybytes()
                yield StateLoad(payload, weight, *partial.counts(part))
