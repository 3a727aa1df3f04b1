"""The operators that test a query's candidates, made once there is an event for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import from_numpy, to_numpy
from mql.columnar.layout import TIME, Ints
from mql.events.times import TimeUnit, recognize
from mql.exec.build import Context, Pipeline
from mql.exec.operator import Block, Counters
from mql.exec.operators.filter import FilterOperator
from mql.planner.fields import needed_fields
from mql.planner.logical import Nothing, Sample
from mql.planner.split import AgentPlan
from publish_agent.drain.plan.agent_plan import columns_of, conditions_of
from publish_agent.screen.screen import Screener

ROW = "*row"
"""The column that numbers the rows of a batch."""


class Operators:
    """The judge, filter and pipeline of a query, for its first event and all later ones."""

    def __init__(
        self, made: AgentPlan, screener: Screener, now_ms: Callable[[], int], seed: int
    ) -> None:
        decides_otherwise = any(isinstance(step, Sample | Nothing) for step in made.steps)
        self.judge = None if decides_otherwise else screener.judge(conditions_of(made))
        self._filter = None if decides_otherwise else FilterOperator(conditions_of(made), now_ms)
        self._counters = Counters()
        self._pipeline = Pipeline(made.steps, Context(now_ms, seed=seed, counters=self._counters))
        self._needs = columns_of(needed_fields(made.steps))
        self._unit: TimeUnit | None = None

    def verify(self, batch: pa.RecordBatch, rows: Ints, times: Ints) -> tuple[Ints, int]:
        """Which of some rows of a batch pass, and how many a sample left out."""
        if self._filter is not None:
            whole = len(rows) == batch.num_rows
            tested = batch if whole else kernels.take(batch.select([*self._needs, ROW]), rows)
            return rows[self._filter.mask(tested)], 0
        before = self._counters.sampled_out
        part = batch.select([*self._needs, ROW])
        if len(rows) < batch.num_rows:
            part = kernels.take(part, rows)
        part = part.append_column(TIME, from_numpy(times[rows]))
        blocks = self._pipeline.push(Block(part))
        kept = [to_numpy(block.batch.column(ROW)) for block in blocks]
        survivors: Ints = np.concatenate(kept) if kept else rows[:0]
        return survivors, self._counters.sampled_out - before

    def unit_of(self, column: pa.Array) -> TimeUnit | None:
        """The unit of a column of times, as its first values showed."""
        if self._unit is None:
            self._unit = recognize(column)
        return self._unit
