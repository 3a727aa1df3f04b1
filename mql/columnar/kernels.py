"""Arrow's compute functions, as far as they are used here, on arrays and batches.

`pyarrow.compute` makes a Python function for each of some hundred kernels when it is imported, and
so does the first call of a method such as `Array.take`: a tenth of a second, which a command that
answers in half of one should not spend. What calls the kernels can be had without that.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import pyarrow as pa

from mql.columnar.arrays import from_numpy, scalar

try:
    from pyarrow import _compute as _arrow
except ImportError:  # it is not public: where it goes away, the public one has the same names
    import pyarrow.compute as _arrow  # noqa: TID251 - the last resort

Indices = npt.NDArray[Any]
"""Row numbers, or with a mask a boolean for each row; an Arrow array of them does as well."""

_call = _arrow.call_function
_TAKE = _arrow.TakeOptions()
_FILTER = _arrow.FilterOptions()
_NULL = _arrow.NullOptions()
_FLATTEN = _arrow.ListFlattenOptions()
_SKIP_ANY_NULL = _arrow.ElementWiseAggregateOptions(skip_nulls=False)


def take(data: Any, rows: Indices) -> Any:
    """The rows of these numbers, of a column or a batch."""
    return _call("take", [data, _array(rows)], _TAKE)


def filter(data: Any, mask: Indices) -> Any:  # noqa: A001 - as Arrow calls it
    """The rows where a mask holds, of a column or a batch."""
    return _call("filter", [data, _array(mask)], _FILTER)


def cast(column: pa.Array, kind: pa.DataType, *, safe: bool = True) -> Any:
    """The column as another type. Raises ArrowInvalid where a value does not fit, if `safe`."""
    if column.type == kind:
        return column
    options = _arrow.CastOptions.safe(kind) if safe else _arrow.CastOptions.unsafe(kind)
    return _call("cast", [column], options)


def fill_null(column: pa.Array, value: object) -> Any:
    """The column with a value in the place of null."""
    return coalesce(column, scalar(value, column.type))


def coalesce(*columns: Any) -> Any:
    """In each row the first value that is not null."""
    return _call("coalesce", list(columns))


def dictionary_encode(column: pa.Array, *, nulls: str = "mask") -> Any:
    """The column as codes into its distinct values; null is one of them with `nulls="encode"`."""
    return _call("dictionary_encode", [column], _arrow.DictionaryEncodeOptions(nulls))


def run_end_decode(column: pa.Array) -> Any:
    """The column with each value written out."""
    return _call("run_end_decode", [column])


def is_null(column: pa.Array) -> Any:
    """Where there is null."""
    return _call("is_null", [column], _NULL)


def if_else(mask: Any, left: Any, right: Any) -> Any:
    """In each row one of two."""
    return _call("if_else", [mask, left, right])


def compare(operator: str, left: Any, right: Any) -> Any:
    """Whether `equal`, `less`, `less_equal` … holds in each row."""
    return _call(operator, [left, right])


def is_in(column: pa.Array, values: pa.Array) -> Any:
    """Where the value is one of some; null is none."""
    return _call("is_in", [column], _arrow.SetLookupOptions(values, skip_nulls=True))


def match_substring(texts: pa.Array, text: str) -> Any:
    """Where a text is inside."""
    return _call("match_substring", [texts], _arrow.MatchSubstringOptions(text))


def match_substring_regex(texts: pa.Array, pattern: str) -> Any:
    """Where a regular expression matches. Raises ArrowInvalid if it is none."""
    return _call("match_substring_regex", [texts], _arrow.MatchSubstringOptions(pattern))


def ascii_lower(texts: pa.Array) -> Any:
    """The texts with the letters of ASCII in lower case."""
    return _call("ascii_lower", [texts])


def ascii_upper(texts: pa.Array) -> Any:
    """The texts with the letters of ASCII in upper case."""
    return _call("ascii_upper", [texts])


def trim(texts: pa.Array, characters: str) -> Any:
    """The texts without some characters at both ends."""
    return _call("utf8_trim", [texts], _arrow.TrimOptions(characters))


def starts_with(texts: pa.Array, text: str) -> Any:
    """Where the texts start so."""
    return _call("starts_with", [texts], _arrow.MatchSubstringOptions(text))


def regex_spans(texts: pa.Array, pattern: str) -> Any:
    """For each named group of a pattern a field: its first byte and its length in bytes.

    Null where the pattern matches nowhere; the field is null where its group took no part. Raises
    ArrowInvalid if the pattern is none, or has a group without a name.
    """
    return _call("extract_regex_span", [texts], _arrow.ExtractRegexSpanOptions(pattern))


def are_ascii(texts: pa.Array) -> Any:
    """Which texts are of ASCII characters only."""
    return _call("string_is_ascii", [texts])


def are_digits(texts: pa.Array) -> Any:
    """Which texts are of the digits 0 to 9 only, and not empty."""
    return _call("ascii_is_decimal", [texts])


def slice_bytes(binaries: pa.Array, begin: int, end: int) -> Any:
    """The bytes of each value from one on, counted from 0, and before another."""
    return _call("binary_slice", [binaries], _arrow.SliceOptions(begin, end, 1))


def count_points(texts: pa.Array) -> Any:
    """The number of code points of each text."""
    return _call("utf8_length", [texts])


def join(separator: str, *columns: Any) -> Any:
    """The texts of each row, with something between them."""
    options = _arrow.JoinOptions()
    return _call("binary_join_element_wise", [*columns, scalar(separator, pa.string())], options)


def replace(column: pa.Array, mask: Indices, values: pa.Array) -> Any:
    """The column with the next of some values in each row where a mask holds."""
    return _call("replace_with_mask", [column, _array(mask), values])


def least(left: Any, right: Any) -> Any:
    """The smaller in each row, null if one is null."""
    return _call("min_element_wise", [left, right], _SKIP_ANY_NULL)


def min_max(column: pa.Array) -> Any:
    """The smallest and the largest, as one struct."""
    return _call("min_max", [column], _arrow.ScalarAggregateOptions())


def any_of(mask: Any) -> bool:
    """Whether one of them holds."""
    return bool(_call("any", [mask], _arrow.ScalarAggregateOptions(min_count=0)).as_py())


def sort_indices(data: Any, keys: list[tuple[str, str]]) -> Any:
    """The row numbers of a batch in the order of some columns, each `ascending` or not; stable."""
    return _call("sort_indices", [data], _arrow.SortOptions(sort_keys=keys))


def sort_array(column: pa.Array) -> Any:
    """The row numbers of a column in ascending order."""
    return _call("array_sort_indices", [column], _arrow.ArraySortOptions())


def flatten(lists: pa.Array) -> Any:
    """The elements of all lists."""
    return _call("list_flatten", [lists], _FLATTEN)


def lengths(lists: pa.Array) -> Any:
    """How many elements each list has."""
    return _call("list_value_length", [lists])


def strftime(times: pa.Array, pattern: str) -> Any:
    """Times as texts."""
    return _call("strftime", [times], _arrow.StrftimeOptions(pattern))


def _array(indices: Indices) -> pa.Array:
    return indices if isinstance(indices, pa.Array) else from_numpy(indices)
