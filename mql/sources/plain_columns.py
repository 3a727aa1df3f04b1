"""Columns of tables with only what events have: times, dates and the like are text or numbers.

The same holds inside lists, structs and maps. Arrow would make Python values of a time through
pandas, where it is installed.
"""

from __future__ import annotations

from functools import lru_cache
from operator import is_

import numpy as np
import pyarrow as pa

from mql.columnar import arrays, kernels
from mql.columnar.kinds import is_null
from mql.sources.portions import elements_of, offsets_of


def plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with times and other types that events do not have made text or numbers."""
    if _are_plain(batch.schema):
        return batch
    columns = [_plain_column(column) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


@lru_cache(maxsize=64)
def _are_plain(schema: pa.Schema) -> bool:
    """Whether all columns hold what events do."""
    return all(column is _plain_column(column) for column in arrays.empty_batch(schema).columns)


def _plain_column(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_timestamp(kind):
        zoned = kernels.cast(column, pa.timestamp(kind.unit, "UTC"))
        return kernels.strftime(zoned, "%Y-%m-%dT%H:%M:%SZ")
    if pa.types.is_dictionary(kind):
        return _plain_column(column.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return _plain_column(kernels.run_end_decode(column))
    if pa.types.is_string_view(kind):
        return kernels.cast(column, pa.string())
    if pa.types.is_decimal(kind):
        return kernels.cast(column, pa.float64())
    if pa.types.is_duration(kind):
        return kernels.cast(column, pa.int64())
    if pa.types.is_date(kind) or pa.types.is_time(kind):
        return kernels.cast(column, pa.string())
    if isinstance(kind, pa.ExtensionType | pa.BaseExtensionType):
        return _plain_column(column.storage)
    if pa.types.is_struct(kind):
        return _plain_struct(column)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        values = elements_of(column)
        made = _plain_column(values)
        return column if made is values else _with_elements(column, made)
    if pa.types.is_fixed_size_list(kind):
        lists = kernels.cast(column, pa.list_(kind.value_type))
        made = _plain_column(lists)
        return column if made is lists else made
    return _plain_map(column) if pa.types.is_map(kind) else column


def _plain_struct(column: pa.StructArray) -> pa.Array:
    cells = [column.field(i) for i in range(column.type.num_fields)]
    made = list(map(_plain_column, cells))
    if all(map(is_, cells, made)):
        return column
    names = (field.name for field in column.type)
    return arrays.structs(dict(zip(names, made, strict=True)), len(column), is_null(column))


def _plain_map(column: pa.MapArray) -> pa.Array:
    entries = elements_of(column)
    keys, items = entries.field(0), entries.field(1)
    made = _plain_column(keys), _plain_column(items)
    if made[0] is keys and made[1] is items:
        return column
    fields = [pa.field("key", made[0].type, nullable=False), pa.field("value", made[1].type)]
    return _with_elements(column, pa.StructArray.from_arrays(list(made), fields=fields))


def _with_elements(column: pa.Array, elements: pa.Array) -> pa.Array:
    """The lists or maps of a column, with others in the place of `elements_of` it."""
    offsets = offsets_of(column)
    null = is_null(column) if column.null_count else None
    lists = arrays.lists((offsets - offsets[0]).astype(np.int32), elements, null)
    if not pa.types.is_map(column.type):
        return lists
    kind = pa.map_(elements.type[0].type, elements.type[1].type)
    return pa.Array.from_buffers(kind, len(lists), lists.buffers()[:2], children=[elements])
