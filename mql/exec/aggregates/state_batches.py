"""States of groups as record batches, which travel in place of rows.

A row is a group of a pane:

    *pane    int64   which pane
    *order   int64   the group's place in the order of arrival, as it comes from the time
    *events  int64   how many events the group is made of
    key i            the value of the i-th property of `group by`
    state i          the columns of the aggregates' states, in the plan's order
    spread i, tail i double: of a sample only, what `mql.exec.aggregates.sampling_error` has of each
    count and sum
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import from_numpy, to_numpy
from mql.columnar.build import column_of
from mql.columnar.concat import concat
from mql.columnar.layout import Ints
from mql.exec.aggregates.group_keys import combine, encode
from mql.values.json_values import read_json

Key = tuple[Hashable, ...]
_PANE, _ORDER, _EVENTS = "*pane", "*order", "*events"
_WITHOUT_NULLS = (pa.int64(), pa.bool_())


@dataclass(frozen=True, slots=True)
class Shape:
    """What groups have to hold: how many keys, the types of their states, how many spreads.

    A type of None stands for a column of values. `tails` they may hold: older agents have none.
    """

    keys: int
    states: tuple[pa.DataType | None, ...]
    spreads: int
    tails: int


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups of panes from somewhere else, a row each: `states` are the columns of their states.

    `spreads` and `tails` are those of what the errors of a sample follow from.
    """

    panes: Ints
    order: Ints
    events: Ints
    keys: list[pa.Array]
    states: list[pa.Array]
    spreads: list[pa.Array]
    tails: list[pa.Array]


def write_groups(
    panes: Ints,
    order: Ints,
    events: Ints,
    keys: Sequence[Key],
    states: Sequence[pa.Array],
    spreads: Sequence[pa.Array],
    tails: Sequence[pa.Array],
) -> pa.RecordBatch:
    """The record batch of some groups."""
    columns = {
        name: from_numpy(numbers)
        for name, numbers in ((_PANE, panes), (_ORDER, order), (_EVENTS, events))
    }
    for i, values in enumerate(zip(*keys, strict=True)):
        columns[f"key {i}"] = column_of([_plain(value) for value in values])
    columns |= {f"state {i}": column for i, column in enumerate(states)}
    columns |= {f"spread {i}": column for i, column in enumerate(spreads)}
    columns |= {f"tail {i}": column for i, column in enumerate(tails)}
    return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))


def panes_and_events(batch: pa.RecordBatch) -> tuple[Ints, Ints]:
    """The pane of each group, and how many events it is made of."""
    return to_numpy(batch.column(_PANE)), to_numpy(batch.column(_EVENTS))


def read_groups(batch: pa.RecordBatch, shape: Shape) -> Groups:
    """The groups in a record batch. Raises ValueError if it holds something else."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    try:
        panes, order, events = (_integers(columns[name]) for name in (_PANE, _ORDER, _EVENTS))
        keys = [_values(columns[f"key {i}"]) for i in range(shape.keys)]
        states = [_of_kind(columns[f"state {i}"], kind) for i, kind in enumerate(shape.states)]
        spreads = [_amounts(columns[f"spread {i}"]) for i in range(shape.spreads)]
        tailed = shape.tails if "tail 0" in columns else 0
        tails = [_amounts(columns[f"tail {i}"]) for i in range(tailed)]
    except KeyError as error:
        raise ValueError(f"no column {error}") from None
    if len(events) and int(events.min()) < 0:
        raise ValueError("a negative number of events")
    if not _are_distinct(panes, keys):
        raise ValueError("a group that comes twice")
    return Groups(panes, order, events, keys, states, spreads, tails)


def join_groups(parts: Sequence[Groups]) -> Groups:
    """One after the other, all with the same columns; a group may then have several rows."""
    if len(parts) == 1:
        return parts[0]
    numbers = zip(*((part.panes, part.order, part.events) for part in parts), strict=True)
    columns = zip(*((p.keys, p.states, p.spreads, p.tails) for p in parts), strict=True)
    panes, order, events = map(np.concatenate, numbers)
    keys, states, spreads, tails = ([concat(s) for s in zip(*c, strict=True)] for c in columns)
    return Groups(panes, order, events, keys, states, spreads, tails)


def between(groups: Groups, start: int, end: int) -> Groups:
    """The groups from one place to another."""
    keys, states, spreads, tails = (
        [column.slice(start, end - start) for column in columns]
        for columns in (groups.keys, groups.states, groups.spreads, groups.tails)
    )
    panes, order, events = (n[start:end] for n in (groups.panes, groups.order, groups.events))
    return Groups(panes, order, events, keys, states, spreads, tails)


def only(groups: Groups, rows: Ints) -> Groups:
    """Some of the groups."""
    taken = from_numpy(rows)
    keys, states, spreads, tails = (
        [kernels.take(column, taken) for column in columns]
        for columns in (groups.keys, groups.states, groups.spreads, groups.tails)
    )
    panes, order, events = groups.panes[rows], groups.order[rows], groups.events[rows]
    return Groups(panes, order, events, keys, states, spreads, tails)


def has_spreads(batch: pa.RecordBatch) -> bool:
    """Whether some groups hold what errors follow from."""
    return "spread 0" in batch.schema.names


def _are_distinct(panes: Ints, keys: list[pa.Array]) -> bool:
    """Whether no two rows have the same pane and keys."""
    rows = len(panes)
    if len(set(panes.tolist())) == rows:
        return True
    codes, sizes = [], []
    for column in keys:
        code, values = encode(column)
        if len(values) == rows:
            return True
        codes.append(code)
        sizes.append(len(values))
    if not keys:
        return False
    _, code = np.unique(panes, return_inverse=True)
    return len(combine([code, *codes], [int(code.max()) + 1, *sizes])[1]) == rows


def _values(column: pa.Array) -> pa.Array:
    if pa.types.is_list(column.type):
        raise ValueError("a list, where a value belongs")
    return column


def _of_kind(column: pa.Array, kind: pa.DataType | None) -> pa.Array:
    if kind is None:
        return _values(column)
    if column.type != kind or (column.null_count and kind in _WITHOUT_NULLS):
        raise ValueError(f"a column of {kind}, not {column.type}")
    return column


def _amounts(column: pa.Array) -> pa.Array:
    if column.type != pa.float64():
        raise ValueError(f"a column of double, not {column.type}")
    values = to_numpy(column)
    if (values < 0).any():
        raise ValueError("a negative sum of powers")
    return column


def _integers(column: pa.Array) -> Ints:
    if column.type != pa.int64() or column.null_count:
        raise ValueError(f"a column of integers, not {column.type}")
    values: Ints = to_numpy(column)
    return values


def _plain(key: Hashable) -> object:
    """The value that `hashable_keys` made a key of."""
    match key:
        case ("boolean", value):
            return value
        case ("json", str(text)):
            return read_json(text)
        case _:
            return key
