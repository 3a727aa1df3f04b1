"""The scalar functions of the language, one row each: a value of an event from values of it.

To add one: a row here, and what it computes in `mql/exec/expressions/scalars/`.
"""

from __future__ import annotations

from typing import NamedTuple


class ScalarFunction(NamedTuple):
    """A scalar function: its name, how it is written, and how many values it takes.

    `cost_ns` is about what it costs for an event, without its arguments. `takes_pattern` says
    whether a regex follows the values, `literal_digits` whether the last value, if it is written,
    is a literal whole number.
    """

    name: str
    written: str
    cost_ns: int
    least: int = 1
    most: int | None = 1
    takes_pattern: bool = False
    literal_digits: bool = False

    def takes(self, count: int) -> bool:
        """Whether it may have so many values."""
        return self.least <= count and (self.most is None or count <= self.most)


SCALARS: dict[str, ScalarFunction] = {
    f.name: f
    for f in (
        ScalarFunction("number", "number(x)", 20),
        ScalarFunction("text", "text(x)", 20),
        ScalarFunction("lower", "lower(x)", 10),
        ScalarFunction("upper", "upper(x)", 10),
        ScalarFunction("trim", "trim(x)", 10),
        ScalarFunction("length", "length(x)", 5),
        ScalarFunction("substring", "substring(x, from[, length])", 15, 2, 3),
        ScalarFunction("extract", "extract(x, /regex/)", 200, takes_pattern=True),
        ScalarFunction("abs", "abs(x)", 3),
        ScalarFunction("floor", "floor(x)", 3),
        ScalarFunction("ceil", "ceil(x)", 3),
        ScalarFunction("round", "round(x[, digits])", 10, 1, 2, literal_digits=True),
        ScalarFunction("coalesce", "coalesce(a, b, …)", 5, 1, None),
    )
}

SCALAR_NAMES = frozenset({*SCALARS, "if", "tick", "time", "service", "host", "version"})
"""All that is called and is no aggregate."""

IF_WRITTEN = "if(CONDITION, a, b)"

DIGITS_MAX = 400
"""`round` takes so many digits before or after the point: no double has more."""
