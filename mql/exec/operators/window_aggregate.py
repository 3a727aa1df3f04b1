"""Windowed aggregates: rows to the states of panes, states of panes to the rows of windows."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pyarrow as pa

from mql.columnar.arrays import distinct, from_numpy
from mql.columnar.build import repeat
from mql.columnar.layout import Doubles, Ints
from mql.exec.aggregates.arrival_order import Order
from mql.exec.aggregates.group_states import States
from mql.exec.aggregates.state_batches import (
    Groups,
    Shape,
    between,
    has_spreads,
    join_groups,
    only,
    read_groups,
)
from mql.exec.limits import Limits
from mql.exec.operator import WINDOW, Block, Counters
from mql.exec.windows.panes import panes_for
from mql.planner.logical import WindowAggregate

_MANY_ROWS, _MANY_BATCHES = 1 << 14, 256
"""So many groups, or batches of them, wait for more before they are added."""
_PORTION = 1 << 12
"""So many groups are added at a time if most are new, which takes some 10 ms; else more are."""


@dataclass(slots=True)
class _Arrived:
    """Groups that wait to be added together with others: that costs little more than a few do."""

    groups: deque[tuple[Groups, int]] = field(default_factory=deque)
    """Each with the bytes that it takes."""
    rows: int = 0
    bytes: int = 0

    def add(self, groups: Groups, size: int) -> None:
        """Have more wait."""
        self.groups.append((groups, size))
        self.rows += len(groups.panes)
        self.bytes += size

    def take(self, number: int) -> Groups:
        """About so many of those that have waited longest."""
        taken: list[Groups] = []
        while self.groups and number > 0:
            groups, size = self.groups.popleft()
            rows = len(groups.panes)
            if rows > number:
                first = size * number // rows
                self.groups.appendleft((between(groups, number, rows), size - first))
                groups, size, rows = between(groups, 0, number), first, number
            taken.append(groups)
            number -= rows
            self.rows -= rows
            self.bytes -= size
        return join_groups(taken)

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
        share: float = 1.0,
    ) -> None:
        self._grouped = bool(step.group_by)
        self._limits = limits
        self._states = States(step, limits, now_ms, share=share)
        self._share = share
        self._arrived: dict[tuple[int, int, int], _Arrived] = {}
        self._shapes: dict[bool, Shape] = {}
        self._counters = counters
        self._rows, self._portion = 0, _PORTION
        self._panes = panes_for(step.window, counters, lateness_ms, start_ms)

    @property
    def held_bytes(self) -> int:
        """About how much memory the groups take, those that wait to be added among them."""
        return self._states.held_bytes + sum(each.bytes for each in self._arrived.values())

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
        groups = self.read(batch, weight)
        if latest_ms is not None:
            groups = replace(groups, panes=self._panes.no_later(groups.panes, latest_ms))
        late = self._panes.late(groups.panes)
        lost = 0
        if late.any():
            lost = int(groups.events[late].sum())
            groups = only(groups, np.flatnonzero(~late))
        if len(groups.panes):
            self._await(groups, weight, batch.nbytes)
        self._counters.late += lost
        return lost

    def read(self, batch: pa.RecordBatch, weight: int) -> Groups:
        """The groups in a batch of states. Raises ValueError if it holds something else."""
        sampled = weight > 1 or (weight > self._share and has_spreads(batch))
        shape = self._shapes.get(sampled)
        if shape is None:
            shape = self._shapes[sampled] = self._states.shape(spread=sampled)
        return read_groups(batch, shape)

    def settle(self, *, wholly: bool) -> bool:
        """Add some of the groups that wait, if they are many, or `wholly`; whether more wait."""
        alike = next((k for k, each in self._arrived.items() if wholly or each.are_many), None)
        if alike is None:
            return False
        groups, before = self._arrived[alike].take(self._portion), self._states.size
        self._states.absorb(groups, alike[0])
        are_new = 4 * (self._states.size - before) > len(groups.panes)
        self._portion = _PORTION if are_new else _MANY_ROWS
        if not self._arrived[alike].groups:
            del self._arrived[alike]
        return any(wholly or each.are_many for each in self._arrived.values())

    def _await(self, groups: Groups, weight: int, size: int) -> None:
        """Add groups, now or with others; none waits that might be one too many."""
        alike = weight, len(groups.spreads), len(groups.tails)
        arrived = self._arrived.setdefault(alike, _Arrived())
        arrived.add(groups, size)
        waiting = sum(each.rows for each in self._arrived.values())
        if self._states.size + waiting > self._limits.groups:
            self._add_arrived()

    def _add_arrived(self) -> None:
        """Add all groups that wait."""
        while self.settle(wholly=True):
            pass

    def finish(self, end_ms: int | None) -> list[Block]:
        """Give the windows that the end of the input cuts off."""
        return self._close(self._panes.closing_at_end(end_ms))

    def _close(self, windows: range) -> list[Block]:
        if not len(windows):
            return []
        self._add_arrived()
        told = self._panes.told(windows, self._states.open_groups.panes, self._counters)
        close = self._close_merged if self._panes.overlap else self._close_plain
        blocks = close(told)
        self._states.drop_before(self._panes.first_pane(windows[-1] + 1))
        self._portion = _PORTION
        return blocks

    def _close_plain(self, windows: Sequence[int]) -> list[Block]:
        """Windows that are one pane each: their groups are already what they have to be."""
        if not self._grouped:
            self._states.ensure(list(windows))
        ids = self._states.open_groups.of_panes(windows[0], windows[-1] + 1)
        index = np.searchsorted(np.array(windows), self._states.open_groups.panes[ids])
        self._note(windows, index, self._states.errors(ids))
        return [self._block(windows, index, self._states.results(ids))]

    def _close_merged(self, windows: Sequence[int]) -> list[Block]:
        """Windows of several panes, whose groups become one by one."""
        blocks = []
        for alike in list(self._runs(windows)):
            panes, number = self._panes.panes_of(alike[0]), len(alike)
            if not self._grouped:
                self._states.ensure([panes[0]])
            ids = self._states.open_groups.of_panes(panes[0], panes[-1] + 1)
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
        panes = distinct(self._states.open_groups.panes).tolist()
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
        most = {name: np.fmax.reduceat(values, firsts) for name, values in errors.items()}
        for place, number in enumerate(present.tolist()):
            bounds = self._panes.bounds(windows[number])
            known = {name: float(values[place]) for name, values in most.items()}
            self._counters.errors[bounds] = known

    def _block(self, windows: Sequence[int], index: Ints, columns: dict[str, pa.Array]) -> Block:
        columns = {WINDOW: from_numpy(index), **columns}
        batch = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
        return Block(batch, tuple(self._panes.bounds(k) for k in windows))
