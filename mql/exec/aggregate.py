"""Windowed aggregates: rows to the states of panes, states of panes to the rows of windows."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

import numpy as np
import pyarrow as pa

from mql import kernels
from mql.arrays import distinct, from_numpy, to_numpy
from mql.batch import Doubles, Ints, plain, repeat
from mql.errors import RunError
from mql.exec.aggregators import Additive, Aggregator, Count, Weighable, make
from mql.exec.conditions import test
from mql.exec.exchange import Groups, Key, Shape, join_groups, only, read_groups, write_groups
from mql.exec.frame import Frame
from mql.exec.group import encode, first_rows, grown, hashable_keys, tuples
from mql.exec.limits import Limits
from mql.exec.operator import WEIGHT, WINDOW, Block, Counters
from mql.exec.order import Order
from mql.exec.panes import panes_for
from mql.exec.spread import Spread
from mql.format import format_aggregate, format_property
from mql.functions import FUNCTIONS
from mql.planner.logical import WindowAggregate
from mql.syntax import Aggregate, Property

_MANY_ROWS, _MANY_BATCHES = 1 << 14, 256
"""So many groups, or batches of them, wait for more before they are added."""


@dataclass(slots=True)
class _Column:
    """One aggregate, or one property's first value, with its states.

    Where the property is a `key` of the groups, the row with which a group begins says it all.
    `spread` is there for counts and sums once a row has stood for more than itself.
    """

    name: str
    aggregate: Aggregate
    states: Aggregator
    key: Property | None = None
    spread: Spread | None = None

    @property
    def scales(self) -> bool:
        """Whether sampling makes the result smaller."""
        return FUNCTIONS[self.aggregate.function].scales and not self.aggregate.distinct

    @property
    def of_events(self) -> Count | None:
        """The states, where each event counts, and no more is to be known of it."""
        aggregate, states = self.aggregate, self.states
        if aggregate.argument or aggregate.condition is not None or self.spread is not None:
            return None
        return states if isinstance(states, Count) else None

    def empty(self, *, spread: bool) -> _Column:
        """The same without states; if it is of a sample, with a spread where that is needed."""
        new = Spread() if spread and self.scales else None
        return _Column(self.name, self.aggregate, make(self.aggregate), self.key, new)


class States:
    """The states of all open groups. A group is a pane and a tuple of key values.

    With `spread` they hold what the errors of a sample follow from, of all rows alike; otherwise
    they get it from such states, when those are added with a weight.
    """

    def __init__(
        self,
        step: WindowAggregate,
        limits: Limits,
        now_ms: Callable[[], int],
        *,
        spread: bool = False,
    ) -> None:
        self._step = step
        self._limits = limits
        self._now_ms = now_ms
        self._spread = spread
        self._numbers: dict[Key, int] = {}
        self.panes = np.zeros(0, np.int64)
        self.first_rows = np.zeros(0, np.int64)
        self._events = np.zeros(0, np.int64)
        self._columns = [_Column(format_aggregate(a), a, make(a)) for a in step.aggregates]
        for first in step.firsts:
            aggregate = Aggregate("FIRST", first)
            key = first if first in step.group_by else None
            self._columns.append(_Column(format_property(first), aggregate, make(aggregate), key))
        if spread:
            self._spread_out()

    def _spread_out(self) -> None:
        """From now on hold what errors follow from."""
        for column in self._columns:
            if column.scales and column.spread is None:
                column.spread = Spread()
                column.spread.resize(self.size)

    @property
    def size(self) -> int:
        """How many groups are open."""
        return len(self._numbers)

    def update(self, batch: pa.RecordBatch, panes: Ints, order: Order) -> None:
        """Take rows in: their pane, and their place in the order of arrival.

        A column `*weight` says for how many events each row stands.
        """
        if WEIGHT not in batch.schema.names:
            self._take(batch, panes, order)
            return
        weights: Ints = to_numpy(batch.column(WEIGHT))
        batch = batch.drop_columns([WEIGHT])
        for weight in distinct(weights).tolist():
            rows = np.flatnonzero(weights == weight)
            some = batch if len(rows) == len(weights) else kernels.take(batch, rows)
            if weight == 1:
                self._take(some, panes[rows], order.of(rows))
            else:
                part = States(self._step, self._limits, self._now_ms, spread=True)
                part._take(some, panes[rows], order.of(rows))
                self._add(part, weight)

    def _take(self, batch: pa.RecordBatch, panes: Ints, order: Order) -> None:
        """Take rows in that stand for themselves."""
        frame = Frame(batch, self._now_ms())
        keys = list(map(frame.key, self._step.group_by))
        ids, new = self._identify(keys, panes, order)
        events = np.bincount(ids, minlength=self.size)
        self._events[: self.size] += events
        for column in self._columns:
            column.states.resize(self.size)
            if column.spread is not None:
                column.spread.resize(self.size)
            if column.of_events is not None:
                column.of_events.add(events)
            elif column.key is None:
                self._update(column, frame, ids, order)
            elif len(new):
                values = plain(kernels.take(frame.key(column.key), new))
                column.states.update(ids[new], values, order.of(new))
        self._check_held()

    def _check_held(self) -> None:
        if sum(column.states.held for column in self._columns) > self._limits.values:
            reason = f"more than {self._limits.values:,} values would have to be held"
            raise RunError("aggregate", f"{reason}; a shorter window would do")

    def export(self) -> pa.RecordBatch:
        """All groups as a record batch that `absorb` takes; for states that can be added."""
        states: list[pa.Array] = []
        spreads: list[pa.Array] = []
        for column in self._columns:
            states += _additive(column.states).parts()
            spreads += column.spread.parts() if column.spread else []
        n = self.size
        keys = [key[1:] for key in self._numbers]
        panes, order, events = self.panes[:n], self.first_rows[:n], self._events[:n]
        return write_groups(panes, order, events, keys, states, spreads)

    def shape(self, weight: int) -> Shape:
        """What groups have to hold that are absorbed with a weight."""
        kinds = [kind for c in self._columns for kind in _additive(c.states).kinds]
        scaled = sum(column.scales for column in self._columns) if weight > 1 else 0
        return Shape(len(self._step.group_by), tuple(kinds), Spread.columns * scaled)

    def absorb(self, groups: Groups, weight: int = 1) -> None:
        """Add groups of such a shape, each of whose events stands for so many.

        A group may have several rows.
        """
        size, states, spreads = len(groups.panes), iter(groups.states), iter(groups.spreads)
        others = [column.empty(spread=weight > 1) for column in self._columns]
        for other in others:
            _additive(other.states).fill(states, size)
            if other.spread is not None:
                other.spread.fill(spreads, size)
        ids, _ = self._identify(groups.keys, groups.panes, Order(lambda: groups.order))
        self._merge(others, ids, groups.events, groups.order, weight)

    def _add(self, other: States, weight: int) -> None:
        """Add other groups, each of whose events stands for so many; they are used up."""
        keys, n = list(other._numbers), other.size
        self._open(keys, other.panes[:n], other.first_rows[:n])
        ids = np.array([self._numbers[key] for key in keys], np.int64)
        self._merge(other._columns, ids, other._events[:n], other.first_rows[:n], weight)

    def _merge(
        self, others: Sequence[_Column], ids: Ints, events: Ints, order: Ints, weight: int
    ) -> None:
        """Add states of rows that belong to these groups; they are used up."""
        np.add.at(self._events, ids, events)
        firsts = np.flatnonzero(order <= self.first_rows[ids])
        np.minimum.at(self.first_rows, ids, order)
        if weight > 1:
            self._spread_out()
        for column, its in zip(self._columns, others, strict=True):
            if weight > 1 and isinstance(its.states, Weighable):
                its.states.weigh(weight)
            column.states.resize(self.size)
            if column.key is None:
                column.states.merge(its.states, ids)
            elif len(firsts):
                column.states.merge(its.states.select(firsts), ids[firsts])
            if column.spread is not None:
                column.spread.resize(self.size)
            if column.spread is not None and its.spread is not None:
                its.spread.weigh(weight)
                column.spread.merge(its.spread, ids)
        self._check_held()

    def _update(self, column: _Column, frame: Frame, ids: Ints, order: Order) -> None:
        argument, condition = column.aggregate.argument, column.aggregate.condition
        values = frame.evaluate(argument) if argument else from_numpy(np.ones(frame.size, np.bool_))
        if condition is not None:
            mask = test(condition, frame)
            ids, order, values = ids[mask], order.of(mask), kernels.filter(values, mask)
        column.states.update(ids, values, order)
        if self._spread and column.spread is not None:
            column.spread.update(ids, values, counts=column.aggregate.function == "COUNT")

    def _identify(
        self, columns: Sequence[pa.Array], panes: Ints, order: Order
    ) -> tuple[Ints, Ints]:
        """The group of each row, and the rows with which new groups began."""
        keys, local, used = _keys(columns, panes)
        numbers = list(map(self._numbers.get, keys))
        groups = np.zeros(int(used[-1]) + 1, np.int64)
        if None not in numbers:
            groups[used] = np.array(numbers, np.int64)
            return groups[local], used[:0]
        first = first_rows(local, len(groups))
        new = np.flatnonzero([number is None for number in numbers])
        new = new[np.argsort(first[used[new]])]
        rows = first[used[new]]
        self._open([keys[i] for i in new.tolist()], panes[rows], order.places[rows])
        groups[used] = [self._numbers[key] for key in keys]
        return groups[local], rows

    def _open(self, keys: Sequence[Key], panes: Ints, order: Ints) -> None:
        """Make the groups of some keys that are not there yet; `order` is their first row's."""
        before = self.size
        opened = [i for i, key in enumerate(keys) if key not in self._numbers]
        for number, i in enumerate(opened, before):
            self._numbers[keys[i]] = number
        if self.size > self._limits.groups:
            reason = f"more than {self._limits.groups:,} groups are open at once"
            raise RunError("group by", f"{reason}; group by something with fewer values")
        self.panes = grown(self.panes, self.size)
        self.first_rows = grown(self.first_rows, self.size)
        self._events = grown(self._events, self.size)
        self.panes[before : self.size] = panes[opened]
        self.first_rows[before : self.size] = order[opened]

    def ensure(self, panes: list[int]) -> None:
        """Open the one group of each of these panes, where it is not: empty windows count too."""
        rows = np.zeros(len(panes), np.int64)
        self._open([(pane,) for pane in panes], np.array(panes, np.int64), rows)
        for column in self._columns:
            column.states.resize(self.size)
            if column.spread is not None:
                column.spread.resize(self.size)

    def of_panes(self, low: int, high: int) -> Ints:
        """The groups whose pane is in [low, high), ordered by pane, then by first appearance."""
        panes, first = self.panes[: self.size], self.first_rows[: self.size]
        ids = np.flatnonzero((panes >= low) & (panes < high))
        return ids[np.lexsort([first[ids], panes[ids]])]

    def results(self, ids: Ints) -> dict[str, pa.Array]:
        """The columns of some groups."""
        return {c.name: c.states.select(ids).result() for c in self._columns}

    def errors(self, ids: Ints) -> dict[str, Doubles]:
        """By how much the counts and sums of some groups may be off, where they are scaled."""
        return {c.name: c.spread.select(ids).errors() for c in self._columns if c.spread}

    def merged_results(self, ids: Ints) -> tuple[int, dict[str, pa.Array], dict[str, Doubles]]:
        """The columns of some groups, those that differ in their pane alone made one.

        Returns how many there are, their columns, and by how much those may be off.
        """
        keys = list(self._numbers)
        order = ids[np.argsort(self.first_rows[ids], kind="stable")]
        numbers: dict[Key, int] = {}
        into = [numbers.setdefault(keys[i][1:], len(numbers)) for i in order.tolist()]
        target = np.array(into, np.int64)
        columns, errors = {}, {}
        for column in self._columns:
            states = make(column.aggregate)
            states.resize(len(numbers))
            states.merge(column.states.select(order), target)
            columns[column.name] = states.result()
            if column.spread is not None:
                spread = Spread()
                spread.resize(len(numbers))
                spread.merge(column.spread.select(order), target)
                errors[column.name] = spread.errors()
        return len(numbers), columns, errors

    def drop_before(self, pane: int) -> None:
        """Forget the groups of earlier panes."""
        kept = np.flatnonzero(self.panes[: self.size] >= pane)
        if len(kept) == self.size:
            return
        keys = list(self._numbers)
        self._numbers = {keys[i]: n for n, i in enumerate(kept.tolist())}
        self.panes, self.first_rows = self.panes[kept], self.first_rows[kept]
        self._events = self._events[kept]
        for column in self._columns:
            column.states = column.states.select(kept) if len(kept) else make(column.aggregate)
            column.states.resize(len(kept))
            if column.spread is not None:
                column.spread = column.spread.select(kept)
                column.spread.resize(len(kept))


def _keys(columns: Sequence[pa.Array], panes: Ints) -> tuple[list[Key], Ints, Ints]:
    """The distinct keys of some rows, a number for each row, and the number of each key."""
    least, most = int(panes.min()), int(panes.max())
    codes, sizes = [panes - least], [most - least + 1]
    parts: list[list[Hashable]] = []
    for column in columns:
        code, values = encode(column)
        codes.append(code)
        sizes.append(len(values))
        parts.append(hashable_keys(values))
    local, used, (of_panes, *others) = tuples(codes, sizes)
    keys = [map(part.__getitem__, code.tolist()) for part, code in zip(parts, others, strict=True)]
    return list(zip((of_panes + least).tolist(), *keys, strict=True)), local, used


def _additive(states: Aggregator) -> Additive:
    """The states as such that can be added; which those are says the table of functions."""
    return cast("Additive", states)  # to ask a protocol takes longer than to add some


@dataclass(slots=True)
class _Arrived:
    """Groups that wait to be added together with others: that costs little more than a few do."""

    groups: list[Groups] = field(default_factory=list)
    rows: int = 0

    def add(self, groups: Groups) -> None:
        """Take groups."""
        self.groups.append(groups)
        self.rows += len(groups.panes)

    @property
    def are_many(self) -> bool:
        """Whether they should not wait for more."""
        return self.rows >= _MANY_ROWS or len(self.groups) >= _MANY_BATCHES


class AggregateOperator:
    """One row for each closed window, or for each group in it."""

    done = False

    def __init__(
        self,
        step: WindowAggregate,
        *,
        counters: Counters,
        limits: Limits,
        now_ms: Callable[[], int],
        lateness_ms: int = 0,
        start_ms: int | None = None,
    ) -> None:
        self._grouped = bool(step.group_by)
        self._limits = limits
        self._states = States(step, limits, now_ms)
        self._arrived: dict[int, _Arrived] = {}
        self._shapes: dict[bool, Shape] = {}
        self._counters = counters
        self._rows = 0
        self._panes = panes_for(step.window, counters, lateness_ms, start_ms)

    def push(self, block: Block) -> list[Block]:
        """Take events; give the windows that they close."""
        out: list[Block] = []
        for rows, panes, closed in self._panes.place(block):
            if rows.num_rows:
                order = Order(partial(np.arange, self._rows, self._rows + rows.num_rows))
                self._rows += rows.num_rows
                self._states.update(rows, panes, order)
            out += self._close(self._panes.closing(closed))
        return out

    def absorb(self, batch: pa.RecordBatch, weight: int = 1, latest_ms: int | None = None) -> int:
        """Take states that `PartialAggregate` gave in a service; how many of its events are late.

        Each event stands for `weight`, and none is of a later time than `latest_ms`, whatever it
        says. Raises ValueError if the batch holds something else.
        """
        sampled = weight > 1
        shape = self._shapes.get(sampled)
        if shape is None:
            shape = self._shapes[sampled] = self._states.shape(weight)
        groups = read_groups(batch, shape)
        if latest_ms is not None:
            groups = replace(groups, panes=self._panes.no_later(groups.panes, latest_ms))
        late = self._panes.late(groups.panes)
        lost = 0
        if late.any():
            lost = int(groups.events[late].sum())
            groups = only(groups, np.flatnonzero(~late))
        if len(groups.panes):
            self._await(groups, weight)
        self._counters.late += lost
        return lost

    def _await(self, groups: Groups, weight: int) -> None:
        """Add groups, now or with others; none waits that might be one too many."""
        arrived = self._arrived.setdefault(weight, _Arrived())
        arrived.add(groups)
        waiting = sum(each.rows for each in self._arrived.values())
        if arrived.are_many or self._states.size + waiting > self._limits.groups:
            self._add_arrived()

    def _add_arrived(self) -> None:
        """Add all groups that wait."""
        waiting, self._arrived = self._arrived, {}
        for weight, arrived in waiting.items():
            self._states.absorb(join_groups(arrived.groups), weight)

    def finish(self, end_ms: int | None) -> list[Block]:
        """Give the windows that the end of the input cuts off."""
        return self._close(self._panes.closing_at_end(end_ms))

    def _close(self, windows: range) -> list[Block]:
        if not len(windows):
            return []
        self._add_arrived()
        open_panes = self._states.panes[: self._states.size]
        told = self._panes.told(windows, open_panes, self._counters)
        close = self._close_merged if self._panes.overlap else self._close_plain
        blocks = close(told)
        self._states.drop_before(self._panes.first_pane(windows[-1] + 1))
        return blocks

    def _close_plain(self, windows: Sequence[int]) -> list[Block]:
        """Windows that are one pane each: their groups are already what they have to be."""
        if not self._grouped:
            self._states.ensure(list(windows))
        ids = self._states.of_panes(windows[0], windows[-1] + 1)
        index = np.searchsorted(np.array(windows), self._states.panes[ids])
        self._note(windows, index, self._states.errors(ids))
        return [self._block(windows, index, self._states.results(ids))]

    def _close_merged(self, windows: Sequence[int]) -> list[Block]:
        """Windows of several panes, whose groups become one by one."""
        blocks = []
        for alike in list(self._runs(windows)):
            panes, number = self._panes.panes_of(alike[0]), len(alike)
            if not self._grouped:
                self._states.ensure([panes[0]])
            ids = self._states.of_panes(panes[0], panes[-1] + 1)
            size, columns, errors = self._states.merged_results(ids)
            index = np.repeat(np.arange(number), size)
            if number > 1 and size:
                columns = {name: repeat(column, number) for name, column in columns.items()}
                errors = {name: np.repeat(values, number) for name, values in errors.items()}
            self._note(alike, index, errors)
            blocks.append(self._block(alike, index, columns))
        return blocks

    def _runs(self, windows: Sequence[int]) -> Iterator[list[int]]:
        """Each window that holds something, and together those between that hold nothing."""
        panes = distinct(self._states.panes[: self._states.size]).tolist()
        empty: list[int] = []
        for k in windows:
            mine = self._panes.panes_of(k)
            place = bisect_left(panes, mine[0])
            if place == len(panes) or panes[place] > mine[-1]:
                empty.append(k)
                continue
            if empty:
                yield empty
            yield [k]
            empty = []
        if empty:
            yield empty

    def _note(self, windows: Sequence[int], index: Ints, errors: dict[str, Doubles]) -> None:
        """Say by how much the values of each window may be off, at most."""
        if not errors or not len(index):
            return
        present, firsts = np.unique(index, return_index=True)
        most = {name: np.maximum.reduceat(values, firsts) for name, values in errors.items()}
        for place, number in enumerate(present.tolist()):
            bounds = self._panes.bounds(windows[number])
            known = {name: float(values[place]) for name, values in most.items()}
            self._counters.errors[bounds] = known

    def _block(self, windows: Sequence[int], index: Ints, columns: dict[str, pa.Array]) -> Block:
        columns = {WINDOW: from_numpy(index), **columns}
        batch = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
        return Block(batch, tuple(self._panes.bounds(k) for k in windows))
