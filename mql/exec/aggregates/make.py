"""The table of states: by the name of a function of the language, what makes its empty states."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial

from mql.exec.aggregates.collected_values import Keep
from mql.exec.aggregates.functions.average import Average
from mql.exec.aggregates.functions.count import Count
from mql.exec.aggregates.functions.distinct import Distinct
from mql.exec.aggregates.functions.first_last import Chosen
from mql.exec.aggregates.functions.list_values import Listed
from mql.exec.aggregates.functions.min_max import Extreme
from mql.exec.aggregates.functions.percentile import Percentile
from mql.exec.aggregates.functions.stddev import Deviation
from mql.exec.aggregates.functions.sum import Sum
from mql.exec.aggregates.protocol import Aggregator
from mql.language.functions import FUNCTIONS
from mql.language.syntax import Aggregate

STATES: dict[str, Callable[[], Aggregator]] = {
    "COUNT": Count,
    "SUM": Sum,
    "AVERAGE": Average,
    "STDDEV": Deviation,
    "MIN": partial(Extreme, greatest=False),
    "MAX": partial(Extreme, greatest=True),
    "FIRST": partial(Chosen, Keep.FIRST),
    "LAST": partial(Chosen, Keep.LAST),
    "LIST": Listed,
    **{
        name: partial(Percentile, Fraction(str(function.quantile)))
        for name, function in FUNCTIONS.items()
        if function.quantile is not None
    },
}
"""One row for each row of `FUNCTIONS`, but for the one whose quantile stands in the query."""


def make(aggregate: Aggregate) -> Aggregator:
    """The empty states of an aggregate."""
    states = STATES.get(aggregate.function) or _percentile(aggregate)
    if aggregate.distinct and not FUNCTIONS[aggregate.function].ignores_distinct:
        return Distinct(states)
    return states()


def _percentile(aggregate: Aggregate) -> Callable[[], Aggregator]:
    assert aggregate.percent is not None, aggregate
    return partial(Percentile, Fraction(repr(aggregate.percent.value)) / 100)
