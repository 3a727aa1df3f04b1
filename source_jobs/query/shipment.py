"""The rows of one message, of which each query takes those, and the columns, that are its own.

Most queries take all rows and the same columns; what has been made for one is kept for the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import from_numpy, scalar, to_numpy
from mql.columnar.kinds import is_null
from mql.columnar.layout import TIME, Ints
from mql.exec.operator import with_columns
from mql.exec.operators.join import SIDE
from mql.wire.codec import ProtocolError
from mql.wire.payload import read_rows
from source_jobs.query.untrusted_columns import read_columns

AT_ONCE = np.iinfo(np.int64).min
"""The place of a row that has no time."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a query needs of a message: columns in an order, the side of a join that they are of.

    Where it does not `believe` times, none is later than the moment at which the rows came.
    """

    columns: tuple[tuple[str, bool], ...]
    side: int | None
    believes: bool


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows, each with its place in time, and about how many bytes they are."""

    batch: pa.RecordBatch
    places: Ints
    bytes: int

    def take(self, rows: Ints) -> Rows:
        """Some of the rows."""
        share = self.bytes * len(rows) // max(1, len(self.places))
        return Rows(kernels.take(self.batch, rows), self.places[rows], share)


class Shipment:
    """The payload of a message that came at `latest_ms`: rows, or the states of groups."""

    def __init__(self, payload: bytes, latest_ms: int, *, holds_states: bool = False) -> None:
        self.holds_states = holds_states
        self._batch = read_columns(payload)
        self.bytes = len(payload)
        self._latest_ms = latest_ms
        self._made: dict[Needs, Rows] = {}

    @property
    def states(self) -> pa.RecordBatch:
        """The states, for whoever knows which they have to be."""
        return self._batch

    def rows(self, needs: Needs, numbers: bytes | None) -> Rows:
        """The rows of these numbers (None: all). Raises ProtocolError."""
        rows = self._made.get(needs)
        if rows is None:
            rows = self._made[needs] = self._make(needs)
        return rows if numbers is None else rows.take(read_rows(numbers, len(rows.places)))

    def _make(self, needs: Needs) -> Rows:
        columns = self._project(needs)
        if not needs.believes:
            columns[TIME] = _not_after(columns[TIME], self._latest_ms)
        if needs.side is not None:
            columns[SIDE] = _sides(self._batch.num_rows, needs.side)
        batch = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
        return Rows(batch, _places(columns[TIME]), self.bytes)

    def _project(self, needs: Needs) -> dict[str, pa.Array]:
        """The needed columns, in their order; a list where there has to be one."""
        schema, columns = self._batch.schema, {}
        for name, is_list in needs.columns:
            index = schema.get_field_index(name)
            if index < 0:
                raise ProtocolError(f"no column `{name}`")
            columns[name] = column = self._batch.column(index)
            if pa.types.is_list(column.type) != is_list:
                raise ProtocolError(f"the column `{name}` is of another shape")
        return columns


def needs_of(empty: pa.RecordBatch, side: int | None, *, believes: bool) -> Needs:
    """What a query needs whose rows are like those of an empty batch."""
    columns = tuple((field.name, pa.types.is_list(field.type)) for field in empty.schema)
    return Needs(columns, side, believes)


def sided(batch: pa.RecordBatch, side: int | None) -> pa.RecordBatch:
    """The batch with the column that says which side of a join its events are of."""
    if side is None:
        return batch
    return with_columns(batch, {SIDE: _sides(batch.num_rows, side)})


def _sides(size: int, side: int) -> pa.Array:
    return from_numpy(np.full(size, side, np.int8))


def _not_after(times: pa.Array, latest_ms: int) -> pa.Array:
    """The times, those after the latest replaced by it."""
    if not times.null_count and len(times) and to_numpy(times).max() <= latest_ms:
        return times
    return kernels.least(times, scalar(latest_ms, pa.int64()))


def _places(times: pa.Array) -> Ints:
    if not times.null_count:
        values: Ints = to_numpy(times)
        return values
    return np.where(is_null(times), AT_ONCE, to_numpy(kernels.fill_null(times, 0)))
