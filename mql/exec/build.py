"""From a plan to running operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import assert_never

import pyarrow as pa

from mql.exec.expressions.frame import GroupFrame
from mql.exec.limits import Limits
from mql.exec.operator import Block, Counters, Operator
from mql.exec.operators.anomaly import AnomalyOperator
from mql.exec.operators.extrapolate import ExtrapolateOperator
from mql.exec.operators.filter import FilterOperator, NothingOperator
from mql.exec.operators.join import JoinOperator
from mql.exec.operators.limit import LimitOperator
from mql.exec.operators.sample import RandomSampleOperator, RateSampleOperator, StickySampleOperator
from mql.exec.operators.select import SelectOperator
from mql.exec.operators.sort import SortOperator
from mql.exec.operators.top_n import TopNOperator
from mql.exec.operators.window_aggregate import AggregateOperator
from mql.exec.operators.window_rows import RowsOperator
from mql.language.syntax import RandomSample, RateSample, SampleClause, StickySample
from mql.planner.fields import needed_fields
from mql.planner.logical import (
    Anomaly,
    Extrapolate,
    Filter,
    Having,
    Join,
    Limit,
    LogicalPlan,
    Nothing,
    RollUp,
    Sample,
    Scan,
    Select,
    Sort,
    Step,
    TopN,
    WindowAggregate,
    WindowRows,
)


@dataclass(frozen=True, slots=True)
class Context:
    """What operators get from outside: the clock, the dice, the query's start, and limits.

    `share` is what of the events the query itself has kept, if it scales its counts and sums.
    """

    now_ms: Callable[[], int]
    seed: int = 0
    start_ms: int | None = None
    lateness_ms: int = 0
    limits: Limits = field(default_factory=Limits)
    counters: Counters = field(default_factory=Counters)
    share: float = 1.0


class Pipeline:
    """The operators of a plan, one feeding the next."""

    def __init__(self, plan: LogicalPlan, context: Context) -> None:
        self._operators = [
            operator for step in plan for operator in build_step(step, plan, context)
        ]

    @property
    def done(self) -> bool:
        """Whether no further input can change the answer."""
        return any(operator.done for operator in self._operators)

    @property
    def held_bytes(self) -> int:
        """About how much memory the operators' states take."""
        return sum(operator.held_bytes for operator in self._operators)

    def push(self, block: Block) -> list[Block]:
        """Send a block of events through; give what comes out."""
        return self._through(self._operators, [block])

    def absorb(self, batch: pa.RecordBatch, weight: int = 1, latest_ms: int | None = None) -> int:
        """Give states made in a service to the aggregate that the plan begins with.

        Each of their events stands for `weight`, and none counts as later than `latest_ms`. Returns
        how many came too late. Raises ValueError if the batch holds no such states.
        """
        return self._aggregate.absorb(batch, weight, latest_ms)

    def check(self, batch: pa.RecordBatch, weight: int = 1) -> None:
        """See whether the aggregate could absorb states. Raises ValueError if not."""
        self._aggregate.read(batch, weight)

    def settle(self, *, wholly: bool) -> bool:
        """Add some of the states that were absorbed, if they are many, or `wholly`.

        Returns whether there is more to be done. It is done when a window closes at the latest.
        """
        return self._aggregate.settle(wholly=wholly)

    @property
    def _aggregate(self) -> AggregateOperator:
        first = self._operators[0]
        assert isinstance(first, AggregateOperator), first
        return first

    def finish(self, end_ms: int | None) -> list[Block]:
        """Tell each operator in turn that the input has ended; give what comes out."""
        out: list[Block] = []
        for i, operator in enumerate(self._operators):
            out += self._through(self._operators[i + 1 :], operator.finish(end_ms))
        return out

    @staticmethod
    def _through(operators: Sequence[Operator], blocks: list[Block]) -> list[Block]:
        for operator in operators:
            blocks = [made for block in blocks for made in operator.push(block)]
        return blocks


def build_step(step: Step, plan: LogicalPlan, context: Context) -> list[Operator]:
    """The operator of a step; none for the scan, which is the input."""
    now_ms, limits, counters = context.now_ms, context.limits, context.counters
    match step:
        case Scan():
            return []
        case Join():
            fields = needed_fields(plan)
            return [JoinOperator(step, fields, counters, limits, context.lateness_ms)]
        case Sample(clause):
            return [_sample(clause, context)]
        case Filter(conditions):
            return [FilterOperator(conditions, now_ms)]
        case Nothing():
            return [NothingOperator()]
        case Select(outputs, everything, prefixes):
            return [SelectOperator(outputs, now_ms, everything=everything, prefixes=prefixes)]
        case WindowRows():
            return [
                RowsOperator(
                    step,
                    counters=counters,
                    limits=limits,
                    now_ms=now_ms,
                    lateness_ms=context.lateness_ms,
                    start_ms=context.start_ms,
                )
            ]
        case WindowAggregate():
            return [
                AggregateOperator(
                    step,
                    counters=counters,
                    limits=limits,
                    now_ms=now_ms,
                    lateness_ms=context.lateness_ms,
                    start_ms=context.start_ms,
                    share=context.share,
                )
            ]
        case RollUp(outputs):
            return [SelectOperator(outputs, now_ms, frame=GroupFrame)]
        case Anomaly():
            return [AnomalyOperator(step, limits, now_ms)]
        case Having(condition):
            return [FilterOperator((condition,), now_ms)]
        case Sort(keys, within_groups):
            return [SortOperator(keys, now_ms, within_groups=within_groups)]
        case TopN():
            return [TopNOperator(step, now_ms)]
        case Limit(count, per_window):
            return [LimitOperator(count, per_window=per_window)]
        case Extrapolate():
            return [ExtrapolateOperator(step, now_ms)]
        case _:
            assert_never(step)


def _sample(clause: SampleClause, context: Context) -> Operator:
    match clause:
        case RandomSample():
            return RandomSampleOperator(clause, context.counters, context.seed)
        case StickySample():
            return StickySampleOperator(clause, context.counters)
        case RateSample():
            return RateSampleOperator(clause, context.counters)
        case _:
            assert_never(clause)
