"""`lower(x)` and `upper(x)`: Unicode's full mapping, as Python has it; `ß` in capitals is `SS`.

The kernels for all of Unicode map one character to one. Those for ASCII do the same as Python where
a text is of ASCII alone; the other texts go by Python, equal ones once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.kinds import mask_of
from mql.columnar.text_bytes import is_ascii
from mql.exec.expressions.scalars.arguments import over_distinct, texts_in


def lower(column: pa.Array) -> pa.Array:
    """The texts in small letters."""
    return _mapped(texts_in(column), kernels.ascii_lower, str.lower)


def upper(column: pa.Array) -> pa.Array:
    """The texts in capital letters."""
    return _mapped(texts_in(column), kernels.ascii_upper, str.upper)


def _mapped(
    texts: pa.Array, of_ascii: Callable[[pa.Array], pa.Array], of_text: Callable[[str], str]
) -> pa.Array:
    plain = of_ascii(texts)
    if is_ascii(texts):
        return plain
    others = ~mask_of(kernels.fill_null(kernels.are_ascii(texts), True))
    if not others.any():
        return plain
    some = kernels.filter(texts, others)
    mapped = over_distinct(some, lambda text: of_text(cast("str", text)))
    return kernels.replace(plain, others, mapped)
