"""Aggregating in the services first: a windowed aggregate's states, as one service knows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import to_numpy
from mql.columnar.layout import TIME, Ints
from mql.exec.aggregates.arrival_order import Order
from mql.exec.aggregates.group_states import States
from mql.exec.aggregates.state_batches import panes_and_events
from mql.exec.limits import Limits
from mql.exec.windows.time_windows import Span
from mql.language.syntax import Property, TimeWindow
from mql.planner.logical import WindowAggregate

_UNKNOWN: Mapping[Property, float] = MappingProxyType({})

_WITHIN_MS = 20
"""Bits of an event's place in the order of arrival that tell apart those of one millisecond."""
_WITHIN_SOURCE = 16
"""Bits of these that tell apart events of one source; the others are the source's number."""


class PartialAggregate:
    """Takes rows in, and gives record batches of states, which a source job adds up.

    The rows are of the query's `source`, by number: of equal times those of earlier sources are
    first. With `spread` the states say what the errors of a sample follow from.
    """

    def __init__(
        self,
        step: WindowAggregate,
        limits: Limits,
        now_ms: Callable[[], int],
        *,
        source: int = 0,
        spread: bool = False,
    ) -> None:
        assert isinstance(step.window, TimeWindow)
        self._span = Span(step.window)
        self._make: Callable[[], States] = lambda: States(step, limits, now_ms, spread=spread)
        self._states = self._make()
        self._source_place = min(source, (1 << _WITHIN_MS - _WITHIN_SOURCE) - 1) << _WITHIN_SOURCE
        self._last = 0, 0
        """The last ms of which rows came, and how many."""

    @property
    def size(self) -> int:
        """How many groups there are."""
        return self._states.size

    def update(self, batch: pa.RecordBatch, limits: Mapping[Property, float] = _UNKNOWN) -> Ints:
        """Take rows in, each with a time. Of a sample none has a number beyond the `limits`.

        Returns the rows that are of no window, in a gap between two. Raises RunError at a limit of
        what may be held.
        """
        times: Ints = to_numpy(batch.column(TIME))
        if not len(times):
            return times
        if self._span.has_gaps:
            in_gap = self._span.in_gap(times)
            rows = np.flatnonzero(~in_gap)
            self._add(kernels.take(batch, rows), times[rows], limits)
            return np.flatnonzero(in_gap)
        self._add(batch, times, limits)
        return times[:0]

    def _add(self, batch: pa.RecordBatch, times: Ints, limits: Mapping[Property, float]) -> None:
        if not len(times):
            return
        steps = np.diff(times)
        if (steps < 0).any():
            rows = np.argsort(times, kind="stable")
            batch, times = kernels.take(batch, rows), times[rows]
            steps = np.diff(times)
        starts = np.append(0, np.flatnonzero(steps) + 1)
        sizes = np.diff(starts, append=len(times))
        each = times[starts]
        panes = np.repeat(self._span.panes(each), sizes)
        before = np.zeros(len(each), np.int64)
        last_ms, number = self._last
        before[each == last_ms] = number  # they came in the batch before
        self._last = int(each[-1]), int(before[-1] + sizes[-1])
        states = self._states if each[0] >= last_ms else self._make()
        order = Order(
            lambda: (
                _order(np.repeat(each, sizes), np.repeat(before - starts, sizes))
                + self._source_place
            )
        )
        states.update(batch, panes, order, limits)
        if states is not self._states:  # a `publish` that took long: others were done before it
            self._states.add(states)

    def take(self, before_ms: int | None = None) -> pa.RecordBatch | None:
        """The states of panes that begin before a time, or all, if any; they begin anew."""
        states = self._states
        panes = states.open_groups.panes
        first_kept = None if before_ms is None else -(-before_ms // self._span.pane_ms)
        taken = np.arange(len(panes)) if first_kept is None else np.flatnonzero(panes < first_kept)
        if not len(taken):
            return None
        batch = states.export()
        if first_kept is None or len(taken) == len(panes):
            self._states = self._make()
            return batch
        states.drop_before(first_kept)
        return kernels.take(batch, taken)

    def counts(self, states: pa.RecordBatch) -> tuple[Ints, Ints]:
        """Of some states, the times in ms at which their panes begin, and their events."""
        panes, events = panes_and_events(states)
        return panes * self._span.pane_ms, events


def _order(times: Ints, numbers: Ints) -> Ints:
    """The places in the order of arrival of rows of one source in the order of their times.

    Each number plus the row's is how many came before in the same millisecond.
    """
    within = numbers + np.arange(len(numbers))
    return (times << _WITHIN_MS) + np.minimum(within, (1 << _WITHIN_SOURCE) - 1)
