"""An Arrow IPC stream, whose batches say how complete they are in their metadata.

Events have no schema, so a column's type is known as its values come. When one changes (an integer
becomes a double, a string comes where numbers were) the IPC stream ends, and another one with the
wider schema follows in the same response; types only ever widen, at last to JSON text.
"""

from __future__ import annotations

from io import BytesIO

import msgspec
import pyarrow as pa

from mql.columnar import arrays, kernels
from mql.ledger import as_data
from mql.values.json_values import write_json
from source_jobs.api.feeds.events import Beat, Closing, Lost, Numbered, Opening, Said, gap_data

_JSON = pa.json_(pa.string())
_START, _END = "_window_start", "_window_end"


class ArrowStream:
    """Batches of rows. What is said before the first row waits for it, as metadata."""

    def __init__(self) -> None:
        self._sink = BytesIO()
        self._schema: pa.Schema | None = None
        self._writer: pa.RecordBatchStreamWriter | None = None
        self._waiting: dict[str, object] = {}

    def write(self, said: Said) -> bytes:
        """The messages of it; nothing before there are rows."""
        match said:
            case Opening(warnings=warnings):
                self._waiting["warnings"] = list(warnings)
            case Numbered(number, piece):
                window = piece.window
                self._waiting["id"] = number
                if window.gap is not None:
                    self._waiting["gap"] = gap_data(window.gap)
                if window.completeness is not None:
                    self._waiting["completeness"] = as_data(window.completeness)
                if window.num_rows:
                    self._rows(_table(window.table, window.start_ms, window.end_ms))
                else:
                    self._remark()
            case Lost():
                self._waiting["gap"] = gap_data(said)
                self._remark()
            case Closing():
                self._close(said)
            case Beat():
                self._remark()
        return self._take()

    def _rows(self, table: pa.Table) -> None:
        known = table.schema if self._schema is None else widened(self._schema, table.schema)
        if self._writer is None or known != self._schema:
            self._begin(known)
        batches = fitted(table, known).combine_chunks().to_batches()
        for batch in batches:
            self._write(batch)

    def _remark(self) -> None:
        """A batch without rows carries what is to be said between them."""
        if self._schema is not None:
            self._write(arrays.empty_batch(self._schema))

    def _close(self, said: Closing) -> None:
        known = None if said.total is None else as_data(said.total)
        ended = {"reason": said.reason, "failed": said.failed, "completeness": known}
        self._waiting["ended"] = ended
        if self._schema is None:
            self._begin(pa.schema([]))
        self._remark()
        assert self._writer is not None
        self._writer.close()

    def _begin(self, schema: pa.Schema) -> None:
        if self._writer is not None:
            self._writer.close()
        self._schema = schema
        self._writer = pa.ipc.new_stream(self._sink, schema)

    def _write(self, batch: pa.RecordBatch) -> None:
        assert self._writer is not None
        said, self._waiting = self._waiting, {}
        metadata = {f"mql.{key}": msgspec.json.encode(value) for key, value in said.items()}
        self._writer.write_batch(batch, custom_metadata=metadata or None)

    def _take(self) -> bytes:
        data = self._sink.getvalue()
        self._sink.seek(0)
        self._sink.truncate()
        return data


def widened(known: pa.Schema, new: pa.Schema) -> pa.Schema:
    """A schema that holds the values of both; what has no common type becomes JSON text.

    >>> widened(pa.schema({"a": pa.int64()}), pa.schema({"a": pa.float64(), "b": pa.string()}))
    a: double
    b: string
    """
    fields = {field.name: field.type for field in known}
    for field in new:
        before = fields.get(field.name, pa.null())
        fields[field.name] = _common(before, field.type)
    return pa.schema(list(fields.items()))


def fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table in the columns and types of a schema that is as wide."""
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        column = table.column(field.name)
        is_new_text = field.type == _JSON and column.type != _JSON
        columns.append(_as_text(column) if is_new_text else kernels.cast(column, field.type))
    return pa.table(columns, schema=schema)


def _common(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    if first == second:
        return first
    if _JSON in {first, second}:
        return _JSON
    try:
        schemas = [pa.schema([("a", first)]), pa.schema([("a", second)])]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pa.ArrowException:
        return _JSON


def _as_text(column: pa.ChunkedArray) -> pa.Array:
    values = column.to_pylist()
    texts = arrays.texts([None if v is None else write_json(v) for v in values])
    return pa.ExtensionArray.from_storage(_JSON, texts)


def _table(table: pa.Table, start_ms: int | None, end_ms: int | None) -> pa.Table:
    if start_ms is None:
        return table
    for place, (name, value) in enumerate(((_START, start_ms), (_END, end_ms))):
        table = table.add_column(place, name, arrays.ints([value] * table.num_rows))
    return table
