"""A batch as expressions see it: columns by property, and the values of expressions.

Everything is vectorized. The only values that become Python objects are those of a path into a
list or an object that an output column holds (`having e['LIST(a)'][0] > 1`), which is rare.
"""

from __future__ import annotations

from typing import assert_never

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import to_numpy
from mql.columnar.build import column_of, constant
from mql.columnar.layout import TIME, Ints
from mql.columnar.read import plain, to_python
from mql.exec.expressions.arithmetic import calculate
from mql.exec.expressions.conditions import test
from mql.exec.expressions.scalars.arguments import spread
from mql.exec.expressions.scalars.choice import choose
from mql.exec.expressions.scalars.table import compute
from mql.language.format import format_aggregate, format_property, format_value
from mql.language.syntax import (
    Aggregate,
    Arithmetic,
    Call,
    If,
    Literal,
    Origin,
    Property,
    Provenance,
    Tick,
    Value,
)
from mql.values.json_values import walk


class Frame:
    """The columns of one batch. `now_ms` is what `tick()` is."""

    def __init__(self, batch: pa.RecordBatch, now_ms: int = 0) -> None:
        self.batch = batch
        self.size = batch.num_rows
        self.now_ms = now_ms

    def evaluate(self, value: Value) -> pa.Array:
        """The column of a value, `size` long."""
        match value:
            case Property():
                return self.property(value)
            case Aggregate():
                return self.named(format_aggregate(value))
            case Literal(constant_value):
                return constant(constant_value, self.size)
            case Tick():
                return constant(self.now_ms, self.size)
            case Provenance(origin):
                assert origin is Origin.TIME, "the others are properties, in a plan"
                return self.named(TIME)
            case Arithmetic(operator, left, right):
                return calculate(operator, self.evaluate(left), self.evaluate(right))
            case Call():
                return self._call(value)
            case If(condition, then, otherwise):
                mask = test(condition, self)
                return choose(mask, self._argument(then), self._argument(otherwise))
            case _:
                assert_never(value)

    def _call(self, call: Call) -> pa.Array:
        columns = [self._argument(each) for each in call.arguments]
        return spread(compute(call.function, columns, call.pattern), self.size)

    def _argument(self, value: Value) -> pa.Array:
        """The column of a value; of a literal one row is enough."""
        return column_of([value.value]) if isinstance(value, Literal) else self.evaluate(value)

    def elements(self, path: Property) -> ElementFrame | None:
        """What a path with `[*]` leads to as rows; None if these are such rows."""
        return ElementFrame(self, path)

    def property(self, property_: Property) -> pa.Array:
        """The column of a property."""
        return plain(self._read(property_))

    def key(self, value: Value) -> pa.Array:
        """The column of a value that rows are grouped by; it may be a dictionary."""
        return self._read(value) if isinstance(value, Property) else self.evaluate(value)

    def _read(self, property_: Property) -> pa.Array:
        column = self._find(format_property(property_))
        if column is not None:
            return column
        for size in range(len(property_.steps) - 1, 0, -1):
            column = self._find(format_property(Property(property_.steps[:size])))
            if column is not None:
                rest = property_.steps[size:]
                return column_of([walk(value, rest) for value in to_python(column)])
        return pa.nulls(self.size)

    def named(self, name: str) -> pa.Array:
        """The column of a name that must be there."""
        column = self._find(name)
        assert column is not None, f"no column {name!r} in {self.batch.schema.names}"
        return column

    def _find(self, name: str) -> pa.Array | None:
        index = self.batch.schema.get_field_index(name)
        return self.batch.column(index) if index >= 0 else None


class GroupFrame(Frame):
    """The groups of a window as rows: what is of an event has become a column, by its text."""

    def evaluate(self, value: Value) -> pa.Array:
        """The column of a value, `size` long."""
        if isinstance(value, Provenance | Arithmetic | Call | If):
            column = self._find(format_value(value))
            if column is not None:
                return plain(column)
        return super().evaluate(value)


class FewRows(Frame):
    """Some rows of a batch, by their numbers; of a column they are taken when it is asked for."""

    def __init__(self, batch: pa.RecordBatch, rows: Ints, now_ms: int = 0) -> None:
        super().__init__(batch, now_ms)
        self._rows = rows
        self.size = len(rows)

    def _find(self, name: str) -> pa.Array | None:
        column = super()._find(name)
        return None if column is None else kernels.take(column, self._rows)


class ElementFrame(Frame):
    """The elements of one `[*]` path as rows; other properties are repeated beside them.

    `rows[i]` is the row of the outer frame that element i belongs to.
    """

    def __init__(self, outer: Frame, path: Property) -> None:
        super().__init__(outer.batch, outer.now_ms)
        lists = outer.property(path)
        self._outer = outer
        self._path = path
        if pa.types.is_list(lists.type):
            self._elements = kernels.flatten(lists)
            lengths = to_numpy(kernels.fill_null(kernels.lengths(lists), 0))
        else:
            self._elements = pa.nulls(0)
            lengths = np.zeros(outer.size, np.int64)
        self.rows: Ints = np.repeat(np.arange(outer.size), lengths)
        self.size = len(self.rows)

    def elements(self, path: Property) -> None:
        """None: these are such rows."""

    def property(self, property_: Property) -> pa.Array:
        """The element itself for the frame's own path, else the row's value."""
        if property_ == self._path:
            return self._elements
        return kernels.take(self._outer.property(property_), self.rows)
