"""Aggregates of values that are not null, exact until the last step."""

from __future__ import annotations

import math
from fractions import Fraction

from mql.language.functions import FUNCTIONS
from mql.language.syntax import Aggregate
from tests.oracle.cases import Json
from tests.oracle.values import Number, fit, identity, is_number


def distinct(values: list[Json]) -> list[Json]:
    first_seen: dict[object, Json] = {}
    for value in values:
        first_seen.setdefault(identity(value), value)
    return list(first_seen.values())


def reduce(call: Aggregate, values: list[Json]) -> Json:
    numbers = [v for v in values if is_number(v)]
    strings = [v for v in values if isinstance(v, str)]
    n = len(numbers)
    total = sum(map(Fraction, numbers), Fraction(0))
    quantile = quantile_of(call)
    if quantile is not None:
        return percentile(sorted(numbers), quantile)
    match call.function:
        case "COUNT":
            return len(values)
        case "SUM":
            return fit(int(total) if all(isinstance(v, int) for v in numbers) else total)
        case "AVERAGE":
            return fit(total / n) if numbers else None
        case "STDDEV":
            squares = sum((v - total / n) ** 2 for v in map(Fraction, numbers)) if n > 1 else None
            variance = None if squares is None else fit(squares / (n - 1))
            return None if variance is None else math.sqrt(variance)
        case "MIN":
            return min(numbers) if numbers else min(strings, default=None)
        case "MAX":
            return max(numbers) if numbers else max(strings, default=None)
        case "FIRST":
            return values[0] if values else None
        case "LAST":
            return values[-1] if values else None
        case "LIST":
            return values or None
        case _:
            raise LookupError(f"`reduce` has no {call.function}")


def quantile_of(call: Aggregate) -> Fraction | None:
    """The q of a percentile as a fraction: exactly the number that is written."""
    if call.percent is not None:
        return Fraction(call.percent.text) / 100
    quantile = FUNCTIONS[call.function].quantile
    return None if quantile is None else Fraction(str(quantile))


def percentile(ordered: list[Number], quantile: Fraction) -> Number | None:
    n = len(ordered)
    return ordered[min(math.ceil(quantile * n), n - 1)] if ordered else None


def rescale(result: Json, scale: Fraction) -> Json:
    if not is_number(result):
        return result
    exact = result * scale if scale != 1 else result
    whole = isinstance(result, int) and exact == int(exact)
    return fit(int(exact)) if whole else fit(exact)
