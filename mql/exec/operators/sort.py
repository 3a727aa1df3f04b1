"""`order by`, inside each window (and each group of a row query), stable."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import to_numpy
from mql.columnar.kinds import is_null, kinds_of
from mql.columnar.layout import VARIANT, Ints
from mql.columnar.read import booleans_of, doubles_of, rests_of, strings_of
from mql.exec.expressions.frame import Frame
from mql.exec.operator import Block, PerBlock, window_index
from mql.language.syntax import Value
from mql.values.kind import Kind

GROUP = "*group"
"""The column, where there is one, that numbers a window's groups; rows are sorted inside."""

Keys = tuple[tuple[Value, bool], ...]


class SortOperator(PerBlock):
    """Orders by kind first (null, false, true, numbers, strings, lists, objects), then value."""

    def __init__(self, keys: Keys, now_ms: Callable[[], int], *, within_groups: bool) -> None:
        self._keys = keys
        self._now_ms = now_ms
        self._within_groups = within_groups

    def apply(self, block: Block) -> Block:
        """The block with its rows in order."""
        return block.with_batch(kernels.take(block.batch, self.order(block)))

    def order(self, block: Block) -> Ints:
        """The row numbers, in order."""
        frame = Frame(block.batch, self._now_ms())
        ranks: list[np.ndarray] = []
        for value, descending in reversed(self._keys):
            by_value = reversed(sort_ranks(frame.evaluate(value)))
            ranks.extend(map(_reversed, by_value) if descending else by_value)
        if self._within_groups:
            ranks.append(to_numpy(block.batch.column(GROUP)))
        ranks.append(window_index(block))
        order: Ints = np.lexsort(ranks)
        return order


def _reversed(rank: np.ndarray) -> np.ndarray:
    """Keys in the opposite order; `~` because the least integer has no negative."""
    return ~rank if rank.dtype.kind == "i" else -rank


def sort_ranks(column: pa.Array) -> list[np.ndarray]:
    """Numeric keys that order like the column's values: the most significant one first."""
    if column.type == pa.float64() and not column.null_count:
        return [doubles_of(column)]
    kinds = kinds_of(column).astype(np.int64)
    kinds[kinds == Kind.DOUBLE] = Kind.INT
    ranks: list[np.ndarray] = [kinds]
    if column.type in (pa.int64(), pa.float64(), VARIANT):
        ranks.append(doubles_of(column))
        rests = rests_of(column)
        if rests.any():
            ranks.append(rests)  # tells apart what one double stands for
    if column.type in (pa.bool_(), VARIANT):
        ranks.append(booleans_of(column).astype(np.int64))
    texts = strings_of(column)
    if texts.null_count < len(texts):
        ranks.append(_text_ranks(texts))
    return ranks


def _text_ranks(texts: pa.Array) -> Ints:
    """The dense rank of each text by code point; null first."""
    encoded = kernels.dictionary_encode(texts)
    order = to_numpy(kernels.sort_array(encoded.dictionary))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    codes = to_numpy(kernels.fill_null(encoded.indices, 0))
    return np.where(is_null(texts), -1, rank[codes])
