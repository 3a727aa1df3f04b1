"""The scalar functions of the language, one row each: a value of an event from values of it.

To add one: a row here, and what it computes in `mql/exec/expressions/scalars/`.
"""

from __future__ import annotations

from typing import NamedTuple


class ScalarFunction(NamedTuple):
    """A scalar function: its name, how it is written, and how many values it takes.

    `takes_pattern` says whether a regex follows the values, `literal_digits` whether the last
    value, if it is written, is a literal whole number.
    """

    name: str
    written: str
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
        ScalarFunction("number", "number(x)"),
        ScalarFunction("text", "text(x)"),
        ScalarFunction("lower", "lower(x)"),
        ScalarFunction("upper", "upper(x)"),
        ScalarFunction("trim", "trim(x)"),
        ScalarFunction("length", "length(x)"),
        ScalarFunction("substring", "substring(x, from[, length])", 2, 3),
        ScalarFunction("extract", "extract(x, /regex/)", takes_pattern=True),
        ScalarFunction("abs", "abs(x)"),
        ScalarFunction("floor", "floor(x)"),
        ScalarFunction("ceil", "ceil(x)"),
        ScalarFunction("round", "round(x[, digits])", 1, 2, literal_digits=True),
        ScalarFunction("coalesce", "coalesce(a, b, …)", 1, None),
    )
}

SCALAR_NAMES = frozenset({*SCALARS, "if", "tick", "time", "service", "host", "version"})
"""All that is called and is no aggregate."""

IF_WRITTEN = "if(CONDITION, a, b)"

DIGITS_MAX = 400
"""`round` takes so many digits before or after the point: no double has more."""
