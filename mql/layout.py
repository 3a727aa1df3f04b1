"""The output row: from the last batch's columns to rows, JSON lines and Arrow tables.

This is the edge where values become Python objects, and only the rows of an answer do.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from mql.columnar import arrays
from mql.columnar.kinds import kinds_of
from mql.columnar.layout import EVENT, VARIANT
from mql.columnar.read import to_python
from mql.columnar.whole_events import events_of, lines_of
from mql.exec.operator import WINDOW, Window
from mql.language.format import format_property
from mql.language.syntax import Property, TimeWindow
from mql.planner.bind import ANOMALY_COLUMNS
from mql.planner.fields import prefix_name
from mql.planner.logical import (
    Anomaly,
    LogicalPlan,
    RollUp,
    Select,
    WholeInput,
    WindowAggregate,
    WindowRows,
)
from mql.values.json_values import write_json
from mql.values.kind import Kind

START, END = "_window_start", "_window_end"


@dataclass(frozen=True, slots=True)
class RowLayout:
    """Which columns make a row, and how.

    `paths` are where the columns' values go, in order; `everything` and `prefixes` put keys of
    the event beside them. In an aggregate query a null stays in the row; else it is left out.
    """

    paths: tuple[tuple[str, ...], ...]
    everything: bool
    prefixes: tuple[str, ...]
    keeps_nulls: bool
    timed: bool
    windowed: bool

    def rows(self, batch: pa.RecordBatch) -> list[dict[str, object]]:
        """The rows as nested dicts."""
        if not batch.num_rows:
            return []  # as of most windows, where most are empty
        rows: list[dict[str, object]] = (
            events_of(batch) if self.everything else [{} for _ in range(batch.num_rows)]
        )
        for prefix in self.prefixes:
            for row, part in zip(rows, to_python(batch.column(prefix_name(prefix))), strict=True):
                row.update(part if isinstance(part, dict) else {})
        for path in self.paths:
            column = to_python(batch.column(format_property(Property(path))))
            for row, value in zip(rows, column, strict=True):
                if value is not None or self.keeps_nulls:
                    _put(row, path, value)
        return rows

    def json_lines(self, batch: pa.RecordBatch, windows: tuple[Window, ...] | None) -> bytes:
        """NDJSON; rows of windows of time begin with the window's start and end."""
        if self._is_event_alone and not self.timed:
            return bytes(lines_of(batch.column(EVENT)))
        rows = self.rows(batch)
        if self.timed and windows is not None:
            bounds = [windows[i] for i in batch.column(WINDOW).to_pylist()]
            rows = [
                {START: w.start_ms, END: w.end_ms} | row
                for w, row in zip(bounds, rows, strict=True)
            ]
        return "".join([write_json(row) + "\n" for row in rows]).encode()

    @property
    def _is_event_alone(self) -> bool:
        return self.everything and not self.paths and not self.prefixes

    def table(self, batch: pa.RecordBatch, windows: tuple[Window, ...] | None = None) -> pa.Table:
        """An Arrow table. With `windows`, `_window_start` and `_window_end` come first.

        Nested paths become structs, a column of mixed kinds JSON text (`arrow.json`).
        """
        columns: dict[str, pa.Array] = {}
        if self.timed and windows is not None:
            index = batch.column(WINDOW).to_pylist()
            columns[START] = arrays.ints([windows[i].start_ms for i in index])
            columns[END] = arrays.ints([windows[i].end_ms for i in index])
        if self._is_event_alone and pa.types.is_struct(batch.column(EVENT).type):
            events = batch.column(EVENT)
            columns |= zip((field.name for field in events.type), events.flatten(), strict=True)
        elif self.everything or self.prefixes or any(len(path) > 1 for path in self.paths):
            columns |= _columns_of_rows(self.rows(batch), self.paths)
        else:
            for path in self.paths:
                columns[path[0]] = public(batch.column(format_property(Property(path))))
        if not columns:
            return pa.Table.from_struct_array(arrays.structs({}, batch.num_rows))
        return pa.table(columns)


def layout_of(plan: LogicalPlan) -> RowLayout:
    """The layout of a plan's rows."""
    added: tuple[str, ...] = ()
    layout: RowLayout | None = None
    window = next((s.window for s in plan if isinstance(s, WindowRows | WindowAggregate)), None)
    timed = isinstance(window, TimeWindow)
    windowed = window is not None and not isinstance(window, WholeInput)
    for step in plan:
        if isinstance(step, Anomaly):
            added = ANOMALY_COLUMNS[step.method]
        if isinstance(step, Select | RollUp):
            paths = tuple(o.path for o in step.outputs if not o.hidden)
            rows = isinstance(step, Select)
            everything = step.everything if isinstance(step, Select) else False
            prefixes = step.prefixes if isinstance(step, Select) else ()
            layout = RowLayout(paths, everything, prefixes, not rows, timed, windowed)
    assert layout is not None
    paths = layout.paths + tuple((name,) for name in added)
    return RowLayout(paths, layout.everything, layout.prefixes, layout.keeps_nulls, timed, windowed)


def public(column: pa.Array) -> pa.Array:
    """A column as other libraries take it: variants become doubles, structs, lists or JSON text."""
    if column.type != VARIANT:
        return column
    kinds = set(kinds_of(column).tolist()) - {Kind.NULL}
    values = to_python(column)
    if len(kinds) == 1 or kinds == {Kind.INT, Kind.DOUBLE}:
        made = _inferred(values)
        if made is not None:
            return made
    return _json_text(values)


def _columns_of_rows(
    rows: list[dict[str, object]], paths: tuple[tuple[str, ...], ...]
) -> dict[str, pa.Array]:
    names = dict.fromkeys(path[0] for path in paths) | dict.fromkeys(k for row in rows for k in row)
    made = {}
    for name in names:
        values = [row.get(name) for row in rows]
        inferred = _inferred(values)
        made[name] = _json_text(values) if inferred is None else inferred
    return made


def _inferred(values: list[object]) -> pa.Array | None:
    """The column of their one type, or None if there is none that keeps every value."""
    try:
        made = arrays.inferred(values)
        return None if _has_empty_struct(made.type) else made
    except (pa.ArrowException, OverflowError, UnicodeEncodeError, RecursionError):
        return None


def _has_empty_struct(kind: pa.DataType) -> bool:
    """Parquet, and others, cannot hold a struct without fields."""
    if pa.types.is_struct(kind):
        return not kind.num_fields or any(_has_empty_struct(f.type) for f in kind)
    return pa.types.is_list(kind) and _has_empty_struct(kind.value_type)


def _json_text(values: list[object]) -> pa.Array:
    texts = arrays.texts([None if v is None else write_json(v) for v in values])
    return pa.ExtensionArray.from_storage(pa.json_(pa.string()), texts)


def _put(row: dict[str, object], path: tuple[str, ...], value: object) -> None:
    """Set a nested key; what is in the way is replaced."""
    for key in path[:-1]:
        inner = row.get(key)
        if not isinstance(inner, dict):
            inner = row[key] = {}
        row = inner
    row[path[-1]] = value
