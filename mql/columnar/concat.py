"""Columns and batches one after the other; columns of different types become variants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from mql.columnar import arrays, kernels
from mql.columnar.arrays import from_numpy, to_numpy
from mql.columnar.kinds import kinds_of
from mql.columnar.layout import PLAIN_KIND, VARIANT
from mql.columnar.read import booleans_of, doubles_of, ints_of, strings_of
from mql.columnar.whole_events import event_texts


def concat_batches(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """One batch after the other; all have the same columns, whose types may differ."""
    if len(batches) == 1:
        return batches[0]
    names = batches[0].schema.names
    columns = [concat([batch.column(i) for batch in batches]) for i in range(len(names))]
    if not names:
        raise ValueError("a batch without columns has no length")
    return pa.RecordBatch.from_arrays(columns, names)


def concat(columns: Sequence[pa.Array]) -> pa.Array:
    """One column after the other; a variant if their types differ."""
    first = columns[0]
    if len(columns) == 1:
        return first
    if first.type in PLAIN_KIND and all(column.type == first.type for column in columns):
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


def as_variant(column: pa.Array) -> pa.Array:
    """The column in the variant layout, whatever it was."""
    if column.type == VARIANT:
        return column
    ints = booleans_of(column).astype(np.int64) if column.type == pa.bool_() else ints_of(column)
    doubles = doubles_of(column) if column.type == pa.float64() else np.zeros(len(column))
    kinds, texts = kinds_of(column), strings_of(column)
    children = [from_numpy(kinds), from_numpy(ints), from_numpy(doubles), texts]
    return pa.StructArray.from_arrays(children, fields=list(VARIANT))


def _nulls_as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    return as_variant(column) if kind == VARIANT else pa.nulls(len(column), kind)


def _concat_lists(columns: Sequence[pa.Array]) -> pa.Array:
    lengths = np.concatenate([to_numpy(kernels.fill_null(kernels.lengths(c), 0)) for c in columns])
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return arrays.lists(offsets, concat([kernels.flatten(c) for c in columns]))
