"""States of groups as record batches, which travel in place of rows.

A row is a group of a pane:

    *pane    int64   which pane
    *order   int64   the group's place in the order of arrival, as it comes from the time
    *events  int64   how many events the group is made of
    key i            the value of the i-th property of `group by`
    state i          the columns of the aggregates' states, in the plan's order
    spread i         double: of a sample only, what `mql.exec.spread` has of each count and sum
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from mql import kernels
from mql.batch import Ints, column_of
from mql.exec.group import hashable_keys
from mql.values import read_json

Key = tuple[Hashable, ...]
_PANE, _ORDER, _EVENTS = "*pane", "*order", "*events"


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups of panes from somewhere else; `states` gives the columns of their states in turn.

    `spreads` gives those of what the errors of a sample follow from.
    """

    panes: Ints
    order: Ints
    events: Ints
    keys: list[Key]
    states: Iterator[pa.Array]
    spreads: Iterator[pa.Array]


def write_groups(
    panes: Ints,
    order: Ints,
    events: Ints,
    keys: Sequence[Key],
    states: Sequence[pa.Array],
    spreads: Sequence[pa.Array],
) -> pa.RecordBatch:
    """The record batch of some groups."""
    columns = {_PANE: pa.array(panes), _ORDER: pa.array(order), _EVENTS: pa.array(events)}
    for i, values in enumerate(zip(*keys, strict=True)):
        columns[f"key {i}"] = column_of([_plain(value) for value in values])
    columns |= {f"state {i}": column for i, column in enumerate(states)}
    columns |= {f"spread {i}": column for i, column in enumerate(spreads)}
    return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))


def panes_and_events(batch: pa.RecordBatch) -> tuple[Ints, Ints]:
    """The pane of each group, and how many events it is made of."""
    return batch.column(_PANE).to_numpy(), batch.column(_EVENTS).to_numpy()


def read_groups(batch: pa.RecordBatch, key_count: int) -> Groups:
    """The groups in a record batch. Raises ValueError if it holds something else."""
    try:
        numbers = [_integers(batch.column(name)) for name in (_PANE, _ORDER, _EVENTS)]
        parts = [hashable_keys(batch.column(f"key {i}")) for i in range(key_count)]
    except KeyError as error:
        raise ValueError(f"no column {error}") from None
    panes, order, events = numbers
    if (events < 0).any():
        raise ValueError("a negative number of events")
    keys: list[Key] = list(zip(*parts, strict=True)) if parts else [()] * len(panes)
    states, spreads = (
        iter([batch.column(name) for name in batch.schema.names if name.startswith(start)])
        for start in ("state ", "spread ")
    )
    return Groups(panes, order, events, keys, states, spreads)


def only(groups: Groups, rows: Ints) -> Groups:
    """Some of the groups."""
    taken = pa.array(rows)
    return Groups(
        groups.panes[rows],
        groups.order[rows],
        groups.events[rows],
        [groups.keys[row] for row in rows.tolist()],
        (kernels.take(column, taken) for column in groups.states),
        (kernels.take(column, taken) for column in groups.spreads),
    )


def _integers(column: pa.Array) -> Ints:
    if column.type != pa.int64() or column.null_count:
        raise ValueError(f"a column of integers, not {column.type}")
    values: Ints = column.to_numpy()
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
