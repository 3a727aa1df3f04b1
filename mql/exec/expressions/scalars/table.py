"""The one table of what scalar functions compute, by their names in `mql/language/scalars.py`.

To add one: a row there, a function here in a file, and its row below. It takes columns of the
batch's layout, all of one length but for literals, which have one row; it gives a column as long,
and raises for no value that a column can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from mql.columnar.read import texts_of
from mql.exec.expressions.scalars.choice import coalesce
from mql.exec.expressions.scalars.extract import extract
from mql.exec.expressions.scalars.length import length
from mql.exec.expressions.scalars.letter_case import lower, upper
from mql.exec.expressions.scalars.magnitude import absolute
from mql.exec.expressions.scalars.number import number
from mql.exec.expressions.scalars.rounding import ceil, floor, round_half_away
from mql.exec.expressions.scalars.substring import substring
from mql.exec.expressions.scalars.trim import trim

KERNELS: dict[str, Callable[..., pa.Array]] = {
    "number": number,
    "text": texts_of,
    "lower": lower,
    "upper": upper,
    "trim": trim,
    "length": length,
    "substring": substring,
    "extract": extract,
    "abs": absolute,
    "floor": floor,
    "ceil": ceil,
    "round": round_half_away,
    "coalesce": coalesce,
}


def compute(function: str, columns: Sequence[pa.Array], pattern: str | None) -> pa.Array:
    """What a function makes of columns, and of a regex if it takes one."""
    kernel = KERNELS[function]
    return kernel(*columns) if pattern is None else kernel(*columns, pattern)
