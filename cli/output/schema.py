"""One schema for tables whose columns differ, because events have none.

Columns keep the order of their first appearance. Types merge where one holds the other: null in
anything, integers in doubles, objects key by key. What does not merge (text here, a number
there) becomes JSON text, with Arrow's JSON type.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import pyarrow as pa

from mql.columnar import arrays, kernels
from mql.values.json_values import write_json

JSON = pa.json_(pa.string())
_EXACT = 2**53


def common_schema(schemas: Iterable[pa.Schema], wide: Iterable[str] = ()) -> pa.Schema:
    """The schema that holds all of the schemas.

    `wide` names integer columns with values that a double would round: beside doubles, such a
    column becomes JSON text, which keeps them.

    >>> a, b = pa.schema({"x": pa.int64()}), pa.schema({"x": pa.string(), "y": pa.null()})
    >>> {field.name: str(field.type) for field in common_schema([a, b])}
    {'x': 'extension<arrow.json>', 'y': 'null'}
    """
    types: dict[str, list[pa.DataType]] = {}
    for schema in schemas:
        for field in schema:
            seen = types.setdefault(field.name, [])
            if field.type not in seen:
                seen.append(field.type)
    rounded = set(wide)
    return pa.schema([(name, _common(seen, name in rounded)) for name, seen in types.items()])


def _common(types: list[pa.DataType], wide: bool) -> pa.DataType:  # noqa: FBT001
    fields = [pa.schema([("", each)]) for each in types]
    try:
        merged = pa.unify_schemas(fields, promote_options="permissive").field(0).type
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return JSON
    return JSON if wide and pa.types.is_floating(merged) else merged


def wide_columns(table: pa.Table) -> set[str]:
    """Columns of integers that hold one which no double equals."""
    wide = set()
    for field, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_integer(field.type):
            ends = kernels.min_max(column).as_py()
            if ends["min"] is not None and max(-ends["min"], ends["max"]) > _EXACT:
                wide.add(field.name)
    return wide


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the columns of `schema`, in its order and types; missing ones are null."""
    return pa.table([_conform(table, field) for field in schema], schema=schema)


def _conform(table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    if field.name not in table.schema.names:
        return pa.chunked_array([pa.nulls(table.num_rows, field.type)])
    column = table.column(field.name)
    if column.type == field.type:
        return column
    if column.type == pa.null():
        return pa.chunked_array([pa.nulls(len(column), field.type)])
    if field.type == JSON:
        return kernels.cast(json_text(column), JSON)
    return kernels.cast(column, field.type, safe=False)


def json_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Each value as JSON text (strings are quoted); null stays null."""
    if column.type == JSON:
        return kernels.cast(column, pa.string())
    texts = [None if v is None else write_json(without_nulls(v)) for v in column.to_pylist()]
    return pa.chunked_array([arrays.texts(texts)])


def without_nulls(value: object) -> object:
    """Objects without their null keys: Arrow fills in the keys that another row has.

    >>> without_nulls([{"a": None, "b": {"c": None}}])
    [{'b': {}}]
    """
    match value:
        case dict():
            return {key: without_nulls(v) for key, v in value.items() if v is not None}
        case list():
            return [without_nulls(v) for v in value]
        case _:
            return value


def plain_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Nested values as JSON text, everything else as it is, for formats without nesting.

    A JSON column's strings lose their quotes: 200 and "200" look the same there anyway.
    """
    if column.type != JSON:
        return json_text(column) if pa.types.is_nested(column.type) else column
    texts = kernels.cast(column, pa.string())
    if not kernels.any_of(kernels.starts_with(texts, '"')):
        return texts
    values = [json.loads(t) if t and t[0] == '"' else t for t in texts.to_pylist()]
    return pa.chunked_array([arrays.texts(values)])


def storable(table_schema: pa.Schema) -> pa.Schema:
    """The schema with JSON text for what Parquet cannot store: objects without any key."""
    return pa.schema([(f.name, JSON if _has_empty(f.type) else f.type) for f in table_schema])


def _has_empty(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return not kind.num_fields or any(_has_empty(field.type) for field in kind)
    return pa.types.is_list(kind) and _has_empty(kind.value_type)
