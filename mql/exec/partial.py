"""Aggregating in the services first: a windowed aggregate's states, as one service knows them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from mql.batch import TIME, Ints
from mql.exec.aggregate import States
from mql.exec.limits import Limits
from mql.exec.window import Span
from mql.planner.logical import WindowAggregate
from mql.syntax import TimeWindow

_WITHIN_MS = 20
"""Bits of an event's place in the order of arrival that tell apart those of one millisecond."""


class PartialAggregate:
    """Takes rows in, and gives record batches of states, which a source job adds up."""

    def __init__(self, step: WindowAggregate, limits: Limits, now_ms: Callable[[], int]) -> None:
        assert isinstance(step.window, TimeWindow)
        self._span = Span(step.window)
        self._make: Callable[[], States] = lambda: States(step, limits, now_ms)
        self._states = self._make()

    @property
    def size(self) -> int:
        """How many groups there are."""
        return self._states.size

    def update(self, batch: pa.RecordBatch) -> None:
        """Take rows in; those without a time, or in a gap between windows, are of no window.

        Raises RunError at a limit.
        """
        times: Ints = batch.column(TIME).fill_null(0).to_numpy()
        timed = batch.column(TIME).is_valid().to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(timed & ~self._span.in_gap(times))
        rows = rows[np.argsort(times[rows], kind="stable")]
        if not len(rows):
            return
        times = times[rows]
        within = np.arange(len(times)) - np.searchsorted(times, times)
        order = (times << _WITHIN_MS) + np.minimum(within, (1 << _WITHIN_MS) - 1)
        self._states.update(batch.take(pa.array(rows)), self._span.panes(times), order)

    def take(self) -> pa.RecordBatch | None:
        """All states as a record batch, if there are any; they begin anew."""
        if not self.size:
            return None
        batch = self._states.export()
        self._states = self._make()
        return batch
