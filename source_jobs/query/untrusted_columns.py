"""Columns that an agent has shipped, checked through: no operator may fall over what is in them.

Raises ProtocolError and nothing else.
"""

from __future__ import annotations

from functools import cache
from operator import is_

import msgspec
import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import Offsets, lists, to_numpy
from mql.columnar.build import finite, null_where
from mql.columnar.layout import EVENT, TIME, VARIANT
from mql.columnar.whole_events import lines_of
from mql.events.native import NativeDecoder
from mql.values.json_values import read_json
from mql.values.kind import Kind
from mql.wire.codec import ProtocolError
from mql.wire.payload import read_batch

_ROW_BYTES = 4
"""A row has a time, of eight bytes, and a state at least a number, or the place of a text."""

_FREE_VALUES = 1 << 20
"""So many values of a column of lists may be all null, and so take no bytes."""

_FARTHEST_MS = 2**53
"""A time farther from 1970 (280,000 years) is none."""


class _AnyObject(msgspec.Struct):
    """An object whose keys do not matter."""


_SHORT = 200
"""A text of no more characters is not nested too deeply to be checked with others."""

_EMPTY = {"[": "[]", "{": "{}"}

_MANY = 16
"""So many events are checked together."""

_object = msgspec.json.Decoder(_AnyObject)
_value = msgspec.json.Decoder(msgspec.Raw)


def read_columns(payload: bytes) -> pa.RecordBatch:
    """The batch of a payload, in which every value is what its column says."""
    batch = read_batch(payload, _ROW_BYTES)
    names, columns = batch.schema.names, batch.columns
    checked = list(map(_checked, names, columns))
    if all(map(is_, checked, columns)):
        return batch
    return pa.RecordBatch.from_arrays(checked, names)


def _checked(name: str, column: pa.Array) -> pa.Array:
    if name == TIME:
        return _times(column)
    if name == EVENT:
        return _events(column)
    if pa.types.is_list(column.type):
        if column.null_count:
            raise ProtocolError("a list that is null")
        values = column.flatten()
        if len(values) > max(_FREE_VALUES, 8 * column.nbytes):
            raise ProtocolError(f"{len(values):,} values in {column.nbytes:,} bytes")
        return lists(_offsets(column), _values(values))
    return _values(column)


def _offsets(column: pa.Array) -> Offsets:
    lengths = to_numpy(kernels.lengths(column))
    return np.concatenate([[0], np.cumsum(lengths)], dtype=np.int32)


def _times(column: pa.Array) -> pa.Array:
    if column.type not in (pa.int64(), pa.null()):
        raise ProtocolError(f"times of type {column.type}")
    if column.type == pa.int64() and not column.null_count and len(column):
        values = to_numpy(column)
        if values.min() >= -_FARTHEST_MS and values.max() <= _FARTHEST_MS:
            return column
    times = kernels.cast(column, pa.int64())
    values = to_numpy(kernels.fill_null(times, 0))
    return null_where(times, (values < -_FARTHEST_MS) | (values > _FARTHEST_MS))


def _events(column: pa.Array) -> pa.Array:
    if column.type not in (pa.string(), pa.large_string()) or column.null_count:
        raise ProtocolError("events that are no text")
    events = kernels.cast(column, pa.string())
    if not _are_objects(events):
        _are_json(events.to_pylist(), _object, "{")
    return events


def _are_objects(events: pa.Array) -> bool:
    """Whether compiled code takes all of them for objects: then they are, and it is quicker."""
    checker = _checker() if len(events) >= _MANY else None
    decoded = checker.decode(lines_of(events)) if checker is not None else None
    return decoded is not None and len(decoded.line_ends) == len(events)


@cache
def _checker() -> NativeDecoder | None:
    """What reads nothing of lines but where they end."""
    return NativeDecoder.of([])


def _values(column: pa.Array) -> pa.Array:
    if column.type == pa.large_string():
        return kernels.cast(column, pa.string())
    if column.type == pa.float64():
        return finite(column)
    if column.type == VARIANT:
        _check_variant(column)
    return column


def _check_variant(column: pa.Array) -> None:
    children = [column.field(i) for i in range(column.type.num_fields)]
    if column.null_count or any(child.null_count for child in children[:3]):
        raise ProtocolError("a value of several kinds that is null")
    kinds, texts = to_numpy(children[0]), children[3]
    if len(kinds) and int(kinds.max()) > Kind.OBJECT:
        raise ProtocolError(f"a value of kind {int(kinds.max())}")
    if not np.isfinite(to_numpy(children[2])).all():
        raise ProtocolError("a number that is not finite")
    textual = np.flatnonzero(kinds >= Kind.STRING)
    if kernels.take(texts, textual).null_count:
        raise ProtocolError("a text that is null")
    for kind, start in ((Kind.LIST, "["), (Kind.OBJECT, "{")):
        of_kind = np.flatnonzero(kinds == kind)
        _are_json(kernels.take(texts, of_kind).to_pylist(), _value, start)


def _are_json(
    texts: list[str],
    decoder: msgspec.json.Decoder[_AnyObject] | msgspec.json.Decoder[msgspec.Raw],
    start: str,
) -> None:
    """Check texts, the short ones together, which is much quicker.

    Between two of them stands an empty value. No text that is cut off goes on behind it, since the
    next one begins with another value; so there are as many values as there should be, or more.
    """
    together = []
    for text in texts:
        if len(text) > _SHORT or not text.startswith(start):
            _is_json(text, decoder, start)
        else:
            together.append(text)
    try:
        values = decoder.decode_lines(f"\n{_EMPTY[start]}\n".join(together))
    except msgspec.MsgspecError:
        raise ProtocolError("nested values that are no JSON") from None
    except RecursionError:  # on a deep stack
        for text in together:
            _is_json(text, decoder, start)
        return
    if len(values) > max(0, 2 * len(together) - 1):
        raise ProtocolError("nested values that are several")


def _is_json(
    text: str,
    decoder: msgspec.json.Decoder[_AnyObject] | msgspec.json.Decoder[msgspec.Raw],
    start: str,
) -> None:
    if not text.startswith(start):
        raise ProtocolError("nested values that are no lists or objects")
    try:
        decoder.decode(text)
    except msgspec.MsgspecError:
        raise ProtocolError("nested values that are no JSON") from None
    except RecursionError:
        _is_deep_json(text)


def _is_deep_json(text: str) -> None:
    try:
        read_json(text)
    except ValueError:
        raise ProtocolError("nested values that are no JSON") from None
