"""The scalar functions on columns, value by value. To add one: its function here, and its row."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from mql.columnar.choose import first_present
from mql.columnar.read import texts_of
from mql.exec.expressions.scalars.extract import extract
from mql.exec.expressions.scalars.numbers import absolute, ceil, floor, number, round_half_away
from mql.exec.expressions.scalars.texts import length, lower, substring, trim, upper

Scalar = Callable[[Sequence[pa.Array]], pa.Array]

SCALARS: dict[str, Scalar] = {
    "number": lambda columns: number(columns[0]),
    "text": lambda columns: texts_of(columns[0]),
    "lower": lambda columns: lower(columns[0]),
    "upper": lambda columns: upper(columns[0]),
    "trim": lambda columns: trim(columns[0]),
    "length": lambda columns: length(columns[0]),
    "substring": lambda columns: substring(*columns),
    "abs": lambda columns: absolute(columns[0]),
    "floor": lambda columns: floor(columns[0]),
    "ceil": lambda columns: ceil(columns[0]),
    "round": lambda columns: round_half_away(*columns),
    "coalesce": lambda columns: first_present([*columns]),
}
"""By name, from columns of one length to a column as long; but for what takes a regex."""


def call(function: str, columns: Sequence[pa.Array], pattern: str | None) -> pa.Array:
    """The column of a call: a row for each of the arguments' rows, null where they do not fit."""
    if pattern is not None:
        return extract(columns[0], pattern)
    return SCALARS[function](columns)
