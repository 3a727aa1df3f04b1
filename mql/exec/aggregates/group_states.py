"""The states of all open groups: rows go in, and states that were made in a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from types import MappingProxyType
from typing import cast

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import distinct, from_numpy, to_numpy
from mql.columnar.layout import Doubles, Ints
from mql.columnar.read import ints_of, plain
from mql.errors import RunError
from mql.exec.aggregates.arrival_order import Order
from mql.exec.aggregates.functions.count import Count
from mql.exec.aggregates.group_keys import OpenGroups
from mql.exec.aggregates.make import make
from mql.exec.aggregates.protocol import Additive, Aggregator, Weighable
from mql.exec.aggregates.sampling_error import Spread, Tail
from mql.exec.aggregates.state_batches import Groups, Shape, write_groups
from mql.exec.expressions.conditions import test
from mql.exec.expressions.frame import Frame
from mql.exec.limits import Limits
from mql.exec.operator import WEIGHT
from mql.language.format import format_aggregate, format_value
from mql.language.functions import FUNCTIONS
from mql.language.syntax import Aggregate, Property, Value
from mql.planner.logical import WindowAggregate

_GROUP_BYTES, _STATE_BYTES = 300, 64
"""About what a group takes, and each of its states, beside texts and values kept one by one."""

_UNKNOWN: Mapping[Property, float] = MappingProxyType({})


@dataclass(slots=True)
class _Column:
    """One aggregate, or one property's first value, with its states.

    Where the property is a `key` of the groups, the row with which a group begins says it all.
    `spread` is there for counts and sums once a row has stood for more than itself; `tail` tells
    what values there were.
    """

    name: str
    aggregate: Aggregate
    states: Aggregator
    key: Value | None = None
    spread: Spread | None = None
    tail: Tail = field(default_factory=Tail)

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

    def new_spread(self) -> Spread:
        """One without values."""
        return Spread(counts=self.aggregate.function == "COUNT")

    def fill_spread(self, size: int) -> None:
        """Take what the states say of a spread that did not come with them: of counts, all."""
        assert self.spread is not None
        is_count = isinstance(self.states, Count)
        counts = ints_of(self.states.result()) if is_count else np.zeros(size, np.int64)
        self.spread.fill_counts(counts)

    def empty(self, *, spread: bool) -> _Column:
        """The same without states; if it is of a sample, with a spread where that is needed."""
        new = self.new_spread() if spread and self.scales else None
        return _Column(self.name, self.aggregate, make(self.aggregate), self.key, new)


class States:
    """The states of all open groups. A group is a pane and a tuple of key values.

    With `spread` they hold what the errors of a sample follow from, of all rows alike; otherwise
    they get it from such states, when those are added with a weight, or if the query itself has
    sampled, and scales its answer: `share` is what it kept.
    """

    def __init__(
        self,
        step: WindowAggregate,
        limits: Limits,
        now_ms: Callable[[], int],
        *,
        spread: bool = False,
        share: float = 1.0,
    ) -> None:
        self._step = step
        self._share = share
        self._limits = limits
        self._now_ms = now_ms
        self._spread = spread
        self.open_groups = OpenGroups(limits.groups)
        self._columns = [_Column(format_aggregate(a), a, make(a)) for a in step.aggregates]
        for first in step.firsts:
            aggregate = Aggregate("FIRST", first)
            key = first if first in step.group_by else None
            self._columns.append(_Column(format_value(first), aggregate, make(aggregate), key))
        if spread:
            self._spread_out()

    def _spread_out(self) -> None:
        """From now on hold what errors follow from."""
        for column in self._columns:
            if column.scales and column.spread is None:
                column.spread = column.new_spread()
                column.spread.resize(self.size)

    @property
    def size(self) -> int:
        """How many groups are open."""
        return self.open_groups.size

    @property
    def held_bytes(self) -> int:
        """About how much memory the groups and their states take."""
        each = _GROUP_BYTES + _STATE_BYTES * len(self._columns)
        values = sum(column.states.held_bytes for column in self._columns)
        return self.size * each + self.open_groups.characters + values

    def update(
        self,
        batch: pa.RecordBatch,
        panes: Ints,
        order: Order,
        limits: Mapping[Property, float] = _UNKNOWN,
    ) -> None:
        """Take rows in: their pane, and their place in the order of arrival.

        A column `*weight` says for how many events each row stands. No number of a sample is beyond
        the `limits`.
        """
        if WEIGHT not in batch.schema.names:
            self._take_weighed(batch, panes, order, 1, limits)
            return
        weights: Ints = to_numpy(batch.column(WEIGHT))
        batch = batch.drop_columns([WEIGHT])
        for weight in distinct(weights).tolist():
            rows = np.flatnonzero(weights == weight)
            some = batch if len(rows) == len(weights) else kernels.take(batch, rows)
            self._take_weighed(some, panes[rows], order.of(rows), weight, limits)

    def _take_weighed(
        self,
        batch: pa.RecordBatch,
        panes: Ints,
        order: Order,
        weight: int,
        limits: Mapping[Property, float],
    ) -> None:
        """Take rows in, each of which stands for so many."""
        if self._spread or weight <= self._share:
            self._take(batch, panes, order, limits)
            return
        part = States(self._step, self._limits, self._now_ms, spread=True)
        part._take(batch, panes, order, limits)
        self.add(part, weight)

    def _take(
        self, batch: pa.RecordBatch, panes: Ints, order: Order, limits: Mapping[Property, float]
    ) -> None:
        """Take rows in that stand for themselves."""
        frame = Frame(batch, self._now_ms())
        keys = list(map(frame.key, self._step.group_by))
        ids, new = self.open_groups.identify(keys, panes, order)
        events = np.bincount(ids, minlength=self.size)
        self.open_groups.events[:] += events
        for column in self._columns:
            column.states.resize(self.size)
            if column.spread is not None:
                column.spread.resize(self.size)
            if column.of_events is not None:
                column.of_events.add(events)
            elif column.key is None:
                self._update(column, frame, ids, order, limits)
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
        tails: list[pa.Array] = []
        for column in self._columns:
            states += _additive(column.states).parts()
            spreads += column.spread.parts() if column.spread else []
            tails += column.spread.tails() if column.spread else []
        groups = self.open_groups
        keys = [key[1:] for key in groups.keys]
        panes, order, events = groups.panes, groups.first_rows, groups.events
        return write_groups(panes, order, events, keys, states, spreads, tails)

    def shape(self, *, spread: bool) -> Shape:
        """What groups have to hold that are absorbed, of a sample or not."""
        kinds = [kind for c in self._columns for kind in _additive(c.states).kinds]
        scaled = [c.new_spread() for c in self._columns if spread and c.scales]
        sums = [each for each in scaled if not each.counts]
        spreads, tails = Spread.parts_each * len(scaled), Spread.tails_each * len(sums)
        return Shape(len(self._step.group_by), tuple(kinds), spreads, tails)

    def absorb(self, groups: Groups, weight: int = 1) -> None:
        """Add groups of such a shape, each of whose events stands for so many.

        A group may have several rows.
        """
        size, states = len(groups.panes), iter(groups.states)
        spreads, tails = iter(groups.spreads), iter(groups.tails)
        others = [column.empty(spread=weight > self._share) for column in self._columns]
        for other in others:
            _additive(other.states).fill(states, size)
            if other.spread is None:
                continue
            if groups.spreads:
                other.spread.fill(spreads, tails, size)
            else:
                other.fill_spread(size)
        ids, _ = self.open_groups.identify(groups.keys, groups.panes, Order(lambda: groups.order))
        self._merge(others, ids, groups.events, groups.order, weight)

    def add(self, other: States, weight: int = 1) -> None:
        """Add other groups, each of whose events stands for so many; they are used up.

        Unlike rows, they may have come before those that are here.
        """
        theirs = other.open_groups
        ids = self.open_groups.open(theirs.keys, theirs.panes, theirs.first_rows)
        self._merge(other._columns, ids, theirs.events, theirs.first_rows, weight)

    def _merge(
        self, others: Sequence[_Column], ids: Ints, events: Ints, order: Ints, weight: int
    ) -> None:
        """Add states of rows that belong to these groups; they are used up."""
        firsts = self.open_groups.add(ids, events, order)
        if weight > self._share:
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
                its.spread.tell(column.tail)
                column.spread.merge(its.spread.weigh(weight, self._share), ids)
        self._check_held()

    def _update(
        self,
        column: _Column,
        frame: Frame,
        ids: Ints,
        order: Order,
        limits: Mapping[Property, float],
    ) -> None:
        argument, condition = column.aggregate.argument, column.aggregate.condition
        values = frame.evaluate(argument) if argument else from_numpy(np.ones(frame.size, np.bool_))
        if condition is not None:
            mask = test(condition, frame)
            ids, order, values = ids[mask], order.of(mask), kernels.filter(values, mask)
        column.states.update(ids, values, order)
        if column.spread is None:
            return
        if self._spread:
            limit = limits.get(argument, inf) if isinstance(argument, Property) else inf
            column.spread.update(ids, values, limit)
        elif not column.spread.counts:
            column.tail.learn(values)

    def ensure(self, panes: list[int]) -> None:
        """Open the one group of each of these panes, where it is not: empty windows count too."""
        rows = np.zeros(len(panes), np.int64)
        self.open_groups.open([(pane,) for pane in panes], np.array(panes, np.int64), rows)
        for column in self._columns:
            column.states.resize(self.size)
            if column.spread is not None:
                column.spread.resize(self.size)

    def results(self, ids: Ints) -> dict[str, pa.Array]:
        """The columns of some groups."""
        return {c.name: c.states.select(ids).result() for c in self._columns}

    def errors(self, ids: Ints) -> dict[str, Doubles]:
        """By how much the counts and sums of some groups may be off, where they are scaled."""
        return {c.name: c.spread.select(ids).errors(c.tail) for c in self._columns if c.spread}

    def merged_results(self, ids: Ints) -> tuple[int, dict[str, pa.Array], dict[str, Doubles]]:
        """The columns of some groups, those that differ in their pane alone made one.

        Returns how many there are, their columns, and by how much those may be off.
        """
        size, order, target = self.open_groups.merged(ids)
        columns, errors = {}, {}
        for column in self._columns:
            states = make(column.aggregate)
            states.resize(size)
            states.merge(column.states.select(order), target)
            columns[column.name] = states.result()
            if column.spread is not None:
                spread = column.new_spread()
                spread.resize(size)
                spread.merge(column.spread.select(order), target)
                errors[column.name] = spread.errors(column.tail)
        return size, columns, errors

    def drop_before(self, pane: int) -> None:
        """Forget the groups of earlier panes."""
        kept = np.flatnonzero(self.open_groups.panes >= pane)
        if len(kept) == self.size:
            return
        self.open_groups.keep(kept)
        for column in self._columns:
            column.states = column.states.select(kept) if len(kept) else make(column.aggregate)
            column.states.resize(len(kept))
            if column.spread is not None:
                column.spread = column.spread.select(kept)
                column.spread.resize(len(kept))


def _additive(states: Aggregator) -> Additive:
    """The states as such that can be added; which those are says the table of functions."""
    return cast("Additive", states)  # to ask a protocol takes longer than to add some
