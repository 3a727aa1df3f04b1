"""Functions of texts: what is no text gives null, but that lists and objects have a length."""

from __future__ import annotations

import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import to_numpy
from mql.columnar.build import null_where
from mql.columnar.choose import first_present
from mql.columnar.kinds import kinds_of
from mql.columnar.layout import VARIANT
from mql.exec.expressions.scalars.by_value import is_ascii, map_distinct, map_values, only_texts
from mql.values.json_values import read_json
from mql.values.kind import Kind

WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""All that has Unicode's property White_Space; `str.strip` takes four controls more."""

_PLACE_MAX = 2**31 - 1
"""No text of a column is longer."""


def lower(column: pa.Array) -> pa.Array:
    """Each text by Unicode's full mapping to lower case."""
    texts = only_texts(column)
    return kernels.ascii_lower(texts) if is_ascii(texts) else map_distinct(texts, str.lower)


def upper(column: pa.Array) -> pa.Array:
    """Each text by Unicode's full mapping to upper case: `ß` becomes `SS`."""
    texts = only_texts(column)
    return kernels.ascii_upper(texts) if is_ascii(texts) else map_distinct(texts, str.upper)


def trim(column: pa.Array) -> pa.Array:
    """Each text without the white space of Unicode at both ends."""
    return kernels.trim(only_texts(column), WHITE_SPACE)


def length(column: pa.Array) -> pa.Array:
    """The code points of a text, the elements of a list, the keys of an object."""
    counts = kernels.cast(kernels.text_lengths(only_texts(column)), pa.int64())
    if column.type != VARIANT:
        return counts
    nested = kinds_of(column) > Kind.STRING
    if not nested.any():
        return counts
    texts = null_where(column.field("text"), ~nested)
    return first_present([counts, map_distinct(texts, _size)])


def substring(column: pa.Array, start: pa.Array, size: pa.Array | None = None) -> pa.Array:
    """The code points that exist at the positions from `start` on, counted from 1.

    Of `start` and `size` what is no whole number gives null; a size below 0 gives an empty text.
    """
    texts, first = only_texts(column), _one_int(start)
    if size is None:
        if first is None:
            return map_values([texts, start], _from)
        return kernels.slice_texts(texts, min(max(first - 1, 0), _PLACE_MAX), None)
    count = _one_int(size)
    if first is None or count is None:
        return map_values([texts, start, size], _between)
    begin, end = _bounds(first, count)
    return kernels.slice_texts(texts, min(begin, _PLACE_MAX), min(end, _PLACE_MAX))


def _one_int(column: pa.Array) -> int | None:
    """The one integer that a column of some rows holds in all of them."""
    if column.type != pa.int64() or column.null_count or not len(column):
        return None
    values = to_numpy(column)
    return int(values[0]) if (values == values[0]).all() else None


def _bounds(first: int, count: int) -> tuple[int, int]:
    """Where a text is cut, of the positions `first` … `first + count - 1` counted from 1."""
    begin = max(first - 1, 0)
    return begin, max(first - 1 + max(count, 0), begin)


def _from(text: object, start: object) -> str | None:
    first = _whole(start)
    return None if not isinstance(text, str) or first is None else text[max(first - 1, 0) :]


def _between(text: object, start: object, size: object) -> str | None:
    first, count = _whole(start), _whole(size)
    if not isinstance(text, str) or first is None or count is None:
        return None
    begin, end = _bounds(first, count)
    return text[begin:end]


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) else None


def _size(text: str) -> int | None:
    value = read_json(text)
    return len(value) if isinstance(value, list | dict) else None
