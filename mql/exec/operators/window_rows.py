"""Windows of rows: held until their window closes, then given clustered by group."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import from_numpy, to_numpy
from mql.columnar.concat import concat_batches
from mql.columnar.layout import Ints
from mql.errors import RunError
from mql.exec.aggregates.group_keys import combine, encode, hashable_keys
from mql.exec.expressions.frame import Frame
from mql.exec.limits import Limits
from mql.exec.operator import WINDOW, Block, Counters, with_columns
from mql.exec.operators.sort import GROUP
from mql.exec.operators.top_n import TopNOperator
from mql.exec.windows.panes import panes_for
from mql.planner.logical import WindowRows

_PANE = "*pane"
_SLACK = 20_000
"""Rows that may pile up before losers are forgotten."""


class RowsOperator:
    """Gives each closed window's rows, in order of arrival inside each group."""

    done = False

    def __init__(
        self,
        step: WindowRows,
        *,
        counters: Counters,
        limits: Limits,
        now_ms: Callable[[], int],
        lateness_ms: int = 0,
        start_ms: int | None = None,
    ) -> None:
        self._group_by = step.group_by
        self._limits = limits
        self._counters = counters
        self._panes = panes_for(step.window, counters, lateness_ms, start_ms)
        self._held: list[pa.RecordBatch] = []
        self._top = None if step.top is None else TopNOperator(step.top, now_ms)
        self._rows = self._bytes = 0
        self._empty: pa.RecordBatch | None = None

    @property
    def held_bytes(self) -> int:
        """How many bytes of rows wait for their windows."""
        return self._bytes

    def push(self, block: Block) -> list[Block]:
        """Take rows; give the windows that they close."""
        out: list[Block] = []
        for rows, panes, closed in self._panes.place(block):
            self._hold(with_columns(rows, {_PANE: from_numpy(panes)}))
            out += self._close(self._panes.closing(closed))
        return out

    def finish(self, end_ms: int | None) -> list[Block]:
        """Give the windows that the end of the input cuts off."""
        return self._close(self._panes.closing_at_end(end_ms))

    def _hold(self, rows: pa.RecordBatch) -> None:
        if self._empty is None:
            self._empty = rows.slice(0, 0)
        if not rows.num_rows:
            return
        self._held.append(rows)
        self._rows += rows.num_rows
        self._bytes += rows.nbytes
        if self._top and self._rows > 2 * self._top.count + _SLACK:
            self._forget_losers()
        if self._bytes > self._limits.bytes:
            reason = f"more than {self._limits.bytes:,} bytes of rows would have to be held"
            raise RunError(
                "window", f"{reason}; a shorter window, or fewer rows by `where`, would do"
            )

    def _forget_losers(self) -> None:
        """Keep the rows that are first so far; they stay in an order that a stable sort keeps."""
        assert self._top is not None
        held = concat_batches(self._held)
        index = from_numpy(np.zeros(held.num_rows, np.int64))
        first = self._top.apply(Block(with_columns(held, {WINDOW: index}))).batch
        kept = first.drop_columns([WINDOW])
        self._held, self._rows, self._bytes = [kept], kept.num_rows, kept.nbytes

    def _close(self, windows: range) -> list[Block]:
        if not len(windows) or self._empty is None:
            return []
        held = concat_batches(self._held) if self._held else self._empty
        panes: Ints = to_numpy(held.column(_PANE))
        told = self._panes.told(windows, panes, self._counters)
        rows, index = self._members(panes, told)
        block = self._block(kernels.take(held, rows), index, told)
        self._keep(held, panes >= self._panes.first_pane(windows[-1] + 1))
        return [block]

    def _members(self, panes: Ints, windows: Sequence[int]) -> tuple[Ints, Ints]:
        """The held rows of each window, one window after the other; and which window."""
        if not self._panes.overlap:
            rows = np.flatnonzero(panes <= windows[-1])
            rows = rows[np.argsort(panes[rows], kind="stable")]
            return rows, np.searchsorted(np.array(windows), panes[rows])
        parts = []
        for k in windows:
            inside = self._panes.panes_of(k)
            parts.append(np.flatnonzero((panes >= inside[0]) & (panes <= inside[-1])))
        index = np.repeat(np.arange(len(parts)), list(map(len, parts)))
        return np.concatenate(parts), index

    def _block(self, batch: pa.RecordBatch, index: Ints, windows: Sequence[int]) -> Block:
        columns = {WINDOW: from_numpy(index)}
        if self._group_by and batch.num_rows:
            groups = self._groups(batch, index)
            order = np.lexsort([groups, index])
            batch, columns = kernels.take(batch, order), {WINDOW: from_numpy(index[order])}
            columns[GROUP] = from_numpy(groups[order])
        elif self._group_by:
            columns[GROUP] = from_numpy(index)
        return Block(with_columns(batch, columns), tuple(self._panes.bounds(k) for k in windows))

    def _groups(self, batch: pa.RecordBatch, index: Ints) -> Ints:
        """Each row's group, numbered by first appearance in its window."""
        frame = Frame(batch)
        codes, sizes = [index], [int(index.max()) + 1]
        for key in self._group_by:
            code, values = encode(frame.property(key))
            numbers: dict[Hashable, int] = {}
            same = [numbers.setdefault(k, len(numbers)) for k in hashable_keys(values)]
            codes.append(np.array(same, np.int64)[code])
            sizes.append(len(numbers))
        return combine(codes, sizes)[0]

    def _keep(self, held: pa.RecordBatch, mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        kept = kernels.take(held, np.flatnonzero(mask))
        self._held = [kept] if kept.num_rows else []
        self._rows, self._bytes = kept.num_rows, kept.nbytes if kept.num_rows else 0
