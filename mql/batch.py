"""The layout of a batch: how events without a schema become Arrow columns.

A batch is a `pyarrow.RecordBatch`. A column is named by the path it holds, as
`mql.format.format_property` writes it; `*time` is the event's time in ms (int64), and `*event`,
only where a query selects `*`, the whole event: its JSON text or, of a table whose cells are all
plain, a struct of those. Names that begin with `*` cannot collide with a path.

A column whose values have one kind is `bool`, `int64`, `double` or `string` (`null` if it has no
value). Anything else is a VARIANT: a struct of the value's kind and one child for each
representation, of which the kind says which holds. Lists and objects are compact JSON text.
A path with `[*]` is a `list` column of such values. Doubles are always finite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mql import arrays, kernels
from mql.arrays import from_numpy, to_numpy
from mql.odd import INT64_MAX, INT64_MIN, normalize
from mql.values import canonical_text, nested_json, read_json, read_json_lines, write_json

TIME = "*time"
EVENT = "*event"

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
Kinds = npt.NDArray[np.uint8]


_NEWLINE = ord("\n")


class Kind(IntEnum):
    """The kinds of value, in the order of `order by`."""

    NULL = 0
    BOOL = 1
    INT = 2
    DOUBLE = 3
    STRING = 4
    LIST = 5
    OBJECT = 6


VARIANT = pa.struct(
    [
        pa.field("kind", pa.uint8(), nullable=False),
        pa.field("int", pa.int64(), nullable=False),
        pa.field("double", pa.float64(), nullable=False),
        pa.field("text", pa.string()),
    ]
)
"""`int` holds integers and booleans (0, 1); `text` strings and the JSON of lists and objects."""

_PLAIN_KIND = {
    pa.null(): Kind.NULL,
    pa.bool_(): Kind.BOOL,
    pa.int64(): Kind.INT,
    pa.float64(): Kind.DOUBLE,
    pa.string(): Kind.STRING,
}


# Whole events


def lines_of(events: pa.Array) -> bytes | memoryview:
    r"""The texts of whole events, each with one newline at its end: as they are, if all have that.

    >>> bytes(lines_of(pa.array(['{"a":1}', '{"a":2}'])))
    b'{"a":1}\n{"a":2}\n'
    """
    if not len(events):
        return b""
    if pa.types.is_struct(events.type):
        return "".join(f"{write_json(event)}\n" for event in events.to_pylist()).encode()
    _, places, data = events.buffers()
    offsets = np.frombuffer(places, np.int32)[events.offset :][: len(events) + 1]
    text = memoryview(data)[offsets[0] : offsets[-1]]
    ends = offsets[1:] - offsets[0] - 1
    if (np.diff(offsets) > 0).all() and (np.frombuffer(text, np.uint8)[ends] == _NEWLINE).all():
        return text
    return "\n".join([*(event.rstrip("\n") for event in events.to_pylist()), ""]).encode()


def events_of(batch: pa.RecordBatch) -> list[Any]:
    """The whole events of a batch, read."""
    column = batch.column(EVENT)
    if pa.types.is_struct(column.type):
        return column.to_pylist()
    read = read_json_lines(lines_of(column), len(column))
    return list(map(read_json, column.to_pylist())) if read is None else read


def event_texts(events: pa.Array) -> pa.Array:
    """Whole events as JSON texts, whatever they are kept as."""
    if not pa.types.is_struct(events.type):
        return events
    return arrays.texts(list(map(write_json, events.to_pylist())))


# Making columns


def column_of(values: list[object]) -> pa.Array:
    """A column from Python values.

    >>> column_of([1, None, 2]).type
    DataType(int64)
    >>> column_of([1, "a"]).field("kind").to_pylist()
    [2, 4]
    """
    types = set(map(type, values))
    types.discard(type(None))
    if not types:
        return pa.nulls(len(values))
    if len(types) == 1:
        made = _plain_column(values, types.pop())
        if made is not None:
            return made
    return _variant_column(values)


def list_column_of(values: list[list[object]]) -> pa.Array:
    """A `list` column from the elements of each row."""
    lengths = np.fromiter(map(len, values), np.int32, len(values))
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return arrays.lists(offsets, column_of([e for row in values for e in row]))


def column_of_kind(values: list[Any], kind: type) -> pa.Array:
    """The column of values that are known to be of one Python type or None.

    To `float` an int may have come: both are numbers, and JSON does not tell them apart.

    >>> column_of_kind([1.5, None, 2.0], float).to_pylist()
    [1.5, None, 2.0]
    >>> column_of_kind([1.5, 2], float).field("kind").to_pylist()
    [3, 2]
    """
    made = _doubles_or_none(values) if kind is float else _plain_column(values, kind)
    if made is None:
        return column_of(values)
    return pa.nulls(len(values)) if made.null_count == len(values) else made


def _doubles_or_none(values: list[Any]) -> pa.Array | None:
    """The column of doubles, or None if there is an int among them: it would be a whole one."""
    try:
        doubles = np.fromiter(values, np.float64, len(values))  # None becomes NaN
    except OverflowError:
        return None
    whole = np.flatnonzero(doubles == np.floor(doubles))
    if int in set(map(type, map(values.__getitem__, whole.tolist()))):
        return None
    return finite(from_numpy(doubles))


def _plain_column(values: list[Any], kind: type) -> pa.Array | None:
    """The column of values of one Python type, or None if that needs a variant."""
    try:
        if kind is str:
            return arrays.texts(values)
        if kind is int:
            return arrays.ints(values)
        if kind is bool:
            return arrays.booleans(values)
        if kind is float:
            return finite(arrays.doubles(values))
    except (OverflowError, UnicodeEncodeError, pa.ArrowInvalid):
        return None
    return None


def _variant_column(values: list[object]) -> pa.Array:
    size = len(values)
    kinds, ints, doubles = np.zeros(size, np.uint8), np.zeros(size, np.int64), np.zeros(size)
    texts: list[str | None] = [None] * size
    for i, value in enumerate(map(normalize, values)):
        match value:
            case None:
                pass
            case bool():
                kinds[i], ints[i] = Kind.BOOL, value
            case int():
                kinds[i], ints[i] = Kind.INT, value
            case float():
                kinds[i], doubles[i] = Kind.DOUBLE, value
            case str():
                kinds[i], texts[i] = Kind.STRING, value
            case _:
                kinds[i] = Kind.LIST if isinstance(value, list) else Kind.OBJECT
                texts[i] = nested_json(value)
    return variant(kinds, ints, doubles, arrays.texts(texts))


def variant(kinds: Kinds, ints: Ints, doubles: Doubles, texts: pa.Array | None = None) -> pa.Array:
    """The column of these values, plain if they are of one kind. All arrays have one length."""
    present = np.flatnonzero(np.bincount(kinds, minlength=7)[1:]) + 1
    if len(present) == 0:
        return pa.nulls(len(kinds))
    kind = present[0]
    if len(present) == 1 and kind <= Kind.STRING:
        null = kinds == Kind.NULL
        if kind == Kind.STRING:
            assert texts is not None
            return texts if texts.null_count == null.sum() else null_where(texts, null)
        values = {Kind.BOOL: ints.astype(np.bool_), Kind.INT: ints, Kind.DOUBLE: doubles}[
            Kind(kind)
        ]
        return from_numpy(values, null if null.any() else None)
    if texts is None:
        texts = pa.nulls(len(kinds), pa.string())
    elif texts.null_count < (kinds < Kind.STRING).sum():
        no_text = arrays.scalar(None, pa.string())
        texts = kernels.if_else(from_numpy(kinds >= Kind.STRING), texts, no_text)
    return pa.StructArray.from_arrays(
        [from_numpy(kinds), from_numpy(ints), from_numpy(doubles), texts], fields=list(VARIANT)
    )


def constant(value: object, size: int) -> pa.Array:
    """A column that holds one value `size` times."""
    return repeat(column_of([value]), size)


def repeat(column: pa.Array, size: int) -> pa.Array:
    """A column of one row, `size` times."""
    return kernels.take(column, np.zeros(size, np.int64))


def finite(column: pa.Array) -> pa.Array:
    """A double column with NaN and infinities made null."""
    values = to_numpy(column)
    if np.isfinite(values).all():
        return column
    return from_numpy(values, ~np.isfinite(values))


def null_where(column: pa.Array, mask: Mask) -> pa.Array:
    """The column with nulls where the mask is true."""
    if not mask.any():
        return column
    if column.type == VARIANT:
        kinds = np.where(mask, np.uint8(Kind.NULL), kinds_of(column))
        return variant(kinds, *_children(column))
    return kernels.if_else(from_numpy(mask), arrays.scalar(None, column.type), column)


# Reading columns


def plain(column: pa.Array) -> pa.Array:
    """The column itself, of a dictionary its values."""
    if not pa.types.is_dictionary(column.type):
        return column
    return kernels.take(column.dictionary, column.indices)


def kinds_of(column: pa.Array) -> Kinds:
    """The kind of each value."""
    if column.type == VARIANT:
        kinds: Kinds = to_numpy(column.field("kind"))
        return kinds
    plain = _PLAIN_KIND[column.type]
    if column.null_count == 0:
        return np.full(len(column), plain, np.uint8)
    return np.where(is_null(column), np.uint8(Kind.NULL), np.uint8(plain))


def is_null(column: pa.Array) -> Mask:
    """Where the column has no value."""
    if column.type == VARIANT:
        return np.equal(kinds_of(column), Kind.NULL)
    if column.null_count == 0:
        return np.zeros(len(column), np.bool_)
    return mask_of(kernels.is_null(column))


def mask_of(booleans: pa.Array) -> Mask:
    """A numpy mask from Arrow booleans; null is false."""
    if booleans.null_count:
        booleans = kernels.fill_null(booleans, False)
    mask: Mask = to_numpy(booleans)
    return mask


def ints_of(column: pa.Array) -> Ints:
    """The integers of a column, 0 where it has none. Booleans count as none."""
    if column.type == pa.int64():
        return _values(column, 0)
    if column.type == VARIANT:
        return np.where(kinds_of(column) == Kind.INT, to_numpy(column.field("int")), 0)
    return np.zeros(len(column), np.int64)


def doubles_of(column: pa.Array) -> Doubles:
    """The numbers of a column as doubles, 0 where it has none."""
    if column.type == pa.float64():
        return _values(column, 0.0)
    if column.type == VARIANT:
        kinds = kinds_of(column)
        doubles = np.where(kinds == Kind.DOUBLE, to_numpy(column.field("double")), 0.0)
        return np.where(
            kinds == Kind.INT, to_numpy(column.field("int")).astype(np.float64), doubles
        )
    return ints_of(column).astype(np.float64)


def booleans_of(column: pa.Array) -> Mask:
    """Where the column is true."""
    if column.type == pa.bool_():
        return mask_of(column)
    if column.type == VARIANT:
        return np.equal(kinds_of(column), Kind.BOOL) & (to_numpy(column.field("int")) == 1)
    return np.zeros(len(column), np.bool_)


def strings_of(column: pa.Array) -> pa.Array:
    """The text child: strings, and the JSON of lists and objects; null for other kinds."""
    if column.type == pa.string():
        return column
    if column.type == VARIANT:
        return column.field("text")
    return pa.nulls(len(column), pa.string())


def texts_of(column: pa.Array) -> pa.Array:
    """Each value as text, as `==~`, `==+` and `like` see it; null stays null."""
    kind = column.type
    if kind == pa.string():
        return column
    if kind == pa.null():
        return pa.nulls(len(column), pa.string())
    if kind in (pa.int64(), pa.bool_()):
        return kernels.cast(column, pa.string())
    if kind == pa.float64():
        return _map(column, write_json)
    kinds = kinds_of(column)
    texts = column.field("text")
    for each in (Kind.BOOL, Kind.INT, Kind.DOUBLE):
        where = kinds == each
        if where.any():
            texts = kernels.if_else(from_numpy(where), _texts_of_kind(column, each), texts)
    return texts


def _texts_of_kind(column: pa.Array, kind: Kind) -> pa.Array:
    """The texts of one kind of a variant's values; those of others mean nothing."""
    if kind is Kind.DOUBLE:
        return _map(from_numpy(doubles_of(column)), write_json)
    values = booleans_of(column) if kind is Kind.BOOL else ints_of(column)
    return kernels.cast(from_numpy(values), pa.string())


def keys_of(column: pa.Array) -> pa.Array:
    """A plain column whose values are equal exactly where MQL calls the given ones equal."""
    if column.type == pa.float64():
        values = doubles_of(column) + 0.0  # -0.0 is 0.0
        return from_numpy(values, is_null(column) if column.null_count else None)
    if column.type != VARIANT:
        return column
    kinds = kinds_of(column)
    ints, doubles = to_numpy(column.field("int")), to_numpy(column.field("double")) + 0.0
    whole = whole_doubles(doubles) & (kinds == Kind.DOUBLE)
    ints = np.where(whole, np.where(whole, doubles, 0).astype(np.int64), ints)
    kinds = np.where(whole, np.uint8(Kind.INT), kinds)
    texts = strings_of(column)
    nested = kinds >= Kind.LIST
    if nested.any():
        texts = kernels.if_else(from_numpy(nested), nested_keys(null_where(texts, ~nested)), texts)
    same = variant(kinds, ints, doubles, texts)
    if same.type != VARIANT:
        return keys_of(same)
    tagged = kernels.join(":", kernels.cast(from_numpy(kinds), pa.string()), texts_of(same))
    return null_where(tagged, kinds == Kind.NULL)


def nested_keys(column: pa.Array) -> pa.Array:
    """The canonical texts of lists and objects (of their JSON texts), equal if they are equal."""
    return _map(strings_of(column), canonical_text)


def whole_doubles(doubles: Doubles) -> Mask:
    """Which doubles are whole numbers that an int64 can hold."""
    return (doubles == np.floor(doubles)) & (doubles >= INT64_MIN) & (doubles < float(INT64_MAX))


def as_variant(column: pa.Array) -> pa.Array:
    """The column in the variant layout, whatever it was."""
    if column.type == VARIANT:
        return column
    ints = booleans_of(column).astype(np.int64) if column.type == pa.bool_() else ints_of(column)
    doubles = doubles_of(column) if column.type == pa.float64() else np.zeros(len(column))
    kinds, texts = kinds_of(column), strings_of(column)
    arrays = [from_numpy(kinds), from_numpy(ints), from_numpy(doubles), texts]
    return pa.StructArray.from_arrays(arrays, fields=list(VARIANT))


def concat(columns: Sequence[pa.Array]) -> pa.Array:
    """One column after the other; a variant if their types differ."""
    first = columns[0]
    if len(columns) == 1:
        return first
    if first.type in _PLAIN_KIND and all(column.type == first.type for column in columns):
        return pa.concat_arrays(columns)
    types = {column.type for column in columns if column.type != pa.null()}
    if any(pa.types.is_list(each) for each in types):
        return _concat_lists(columns)
    if len(types) > 1:
        are_events = any(pa.types.is_struct(each) and each != VARIANT for each in types)
        alike = event_texts if are_events else as_variant
        return pa.concat_arrays([alike(column) for column in columns])
    if not types:
        return pa.nulls(sum(map(len, columns)))
    kind = types.pop()
    return pa.concat_arrays([c if c.type == kind else _nulls_as(c, kind) for c in columns])


def _nulls_as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    return as_variant(column) if kind == VARIANT else pa.nulls(len(column), kind)


def _concat_lists(columns: Sequence[pa.Array]) -> pa.Array:
    lengths = np.concatenate([to_numpy(kernels.fill_null(kernels.lengths(c), 0)) for c in columns])
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return arrays.lists(offsets, concat([kernels.flatten(c) for c in columns]))


def concat_batches(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """One batch after the other; all have the same columns, whose types may differ."""
    if len(batches) == 1:
        return batches[0]
    names = batches[0].schema.names
    columns = [concat([batch.column(i) for batch in batches]) for i in range(len(names))]
    if not names:
        raise ValueError("a batch without columns has no length")
    return pa.RecordBatch.from_arrays(columns, names)


def to_python(column: pa.Array) -> list[object]:
    """The values, for the edges of the program: rows that leave it."""
    if column.type != VARIANT:
        values: list[object] = column.to_pylist()
        return values
    out: list[object] = [None] * len(column)
    kinds, ints = kinds_of(column).tolist(), column.field("int").to_pylist()
    doubles, texts = column.field("double").to_pylist(), column.field("text").to_pylist()
    for i, kind in enumerate(kinds):
        if kind == Kind.BOOL:
            out[i] = bool(ints[i])
        elif kind == Kind.INT:
            out[i] = ints[i]
        elif kind == Kind.DOUBLE:
            out[i] = doubles[i]
        elif kind == Kind.STRING:
            out[i] = texts[i]
        elif kind >= Kind.LIST:
            out[i] = read_json(texts[i])
    return out


def _children(column: pa.Array) -> tuple[Ints, Doubles, pa.Array]:
    return to_numpy(column.field("int")), to_numpy(column.field("double")), column.field("text")


def _values(column: pa.Array, fill: float) -> Any:
    """The values of a plain column as numpy has them, nulls filled."""
    if column.null_count:
        column = kernels.fill_null(column, fill)
    return to_numpy(column)


def _map(column: pa.Array, function: Callable[[object], str] | Callable[[str], str]) -> pa.Array:
    """A string column made value by value; for the rare paths only."""
    made = [None if v is None else function(v) for v in column.to_pylist()]
    return arrays.texts(made)
