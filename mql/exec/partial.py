"""Aggregating in the services first: a windowed aggregate's states, as one service knows them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from mql import kernels
from mql.arrays import to_numpy
from mql.batch import TIME, Ints
from mql.exec.aggregate import States
from mql.exec.exchange import panes_and_events
from mql.exec.limits import Limits
from mql.exec.order import Order
from mql.exec.window import Span
from mql.planner.logical import WindowAggregate
from mql.syntax import TimeWindow

_WITHIN_MS = 20
"""Bits of an event's place in the order of arrival that tell apart those of one millisecond."""


class PartialAggregate:
    """Takes rows in, and gives record batches of states, which a source job adds up.

    With `spread` they say what the errors of a sample follow from.
    """

    def __init__(
        self,
        step: WindowAggregate,
        limits: Limits,
        now_ms: Callable[[], int],
        *,
        spread: bool = False,
    ) -> None:
        assert isinstance(step.window, TimeWindow)
        self._span = Span(step.window)
        self._make: Callable[[], States] = lambda: States(step, limits, now_ms, spread=spread)
        self._states = self._make()
        self._last = 0, 0
        """The last ms of which rows came, and how many."""

    @property
    def size(self) -> int:
        """How many groups there are."""
        return self._states.size

    def update(self, batch: pa.RecordBatch) -> Ints:
        """Take rows in, each with a time.

        Returns the rows that are of no window, in a gap between two. Raises RunError at a limit.
        """
        times: Ints = to_numpy(batch.column(TIME))
        if not len(times):
            return times
        if self._span.has_gaps:
            in_gap = self._span.in_gap(times)
            rows = np.flatnonzero(~in_gap)
            self._add(kernels.take(batch, rows), times[rows])
            return np.flatnonzero(in_gap)
        self._add(batch, times)
        return times[:0]

    def _add(self, batch: pa.RecordBatch, times: Ints) -> None:
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
        order = Order(lambda: _order(np.repeat(each, sizes), np.repeat(before - starts, sizes)))
        self._states.update(batch, panes, order)

    def take(self, before_ms: int | None = None) -> pa.RecordBatch | None:
        """The states of panes that begin before a time, or all, if any; they begin anew."""
        states = self._states
        panes = states.panes[: states.size]
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
    """The places in the order of arrival of rows in the order of their times.

    Each number plus the row's is how many came before in the same millisecond.
    """
    within = numbers + np.arange(len(numbers))
    return (times << _WITHIN_MS) + np.minimum(within, (1 << _WITHIN_MS) - 1)
