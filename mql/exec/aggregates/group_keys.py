"""Groups: from key columns to dense group numbers, in order of first appearance."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from itertools import chain
from math import prod

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import to_numpy
from mql.columnar.equality_keys import keys_of
from mql.columnar.layout import Ints
from mql.columnar.read import to_python
from mql.errors import RunError
from mql.exec.aggregates.arrival_order import Order
from mql.values.json_values import canonical_json

_DENSE = 4
"""Up to this many possible codes a row, counting beats sorting."""

_MOST = 1 << 62
"""Codes are less than that, times the rows of a batch."""

_FEW = 512
"""Texts that Python compares as soon as Arrow would."""

_PLAIN = (pa.string(), pa.int64(), pa.float64())
"""Columns whose Python values are equal exactly if MQL calls them equal."""

Key = tuple[Hashable, ...]


def encode(column: pa.Array) -> tuple[Ints, pa.Array]:
    """Number the distinct values of a column, and give a column of them.

    Returns codes (int64, one a row, in order of first appearance) and, for each code, a value
    that has it. The texts of a dictionary are numbered in its order, also those that no row has.
    """
    if pa.types.is_dictionary(column.type):
        return _encode_dictionary(column)
    encoded = kernels.dictionary_encode(keys_of(column), nulls="encode")
    codes: Ints = to_numpy(encoded.indices).astype(np.int64)
    if column.type in _PLAIN:
        return codes, encoded.dictionary
    first = first_rows(codes, len(encoded.dictionary))
    return codes, kernels.take(column, first)


def _encode_dictionary(column: pa.DictionaryArray) -> tuple[Ints, pa.Array]:
    numbers, texts = column.indices, column.dictionary
    if numbers.null_count:
        numbers = kernels.fill_null(numbers, len(texts))
        texts = pa.concat_arrays([texts, pa.nulls(1, texts.type)])
    codes: Ints = to_numpy(numbers)
    if len(texts) <= _FEW and len(set(texts.to_pylist())) == len(texts):
        return codes, texts
    of_texts, distinct = encode(texts)
    return (codes if len(distinct) == len(of_texts) else of_texts[codes]), distinct


def first_rows(codes: Ints, size: int) -> Ints:
    """The first row of each of `size` dense codes."""
    first = np.zeros(size, np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return first


def combine(codes: Sequence[Ints], sizes: Sequence[int]) -> tuple[Ints, Ints]:
    """Number the distinct tuples of several codes.

    Returns dense codes in order of first appearance, and the first row of each.
    """
    rows = len(codes[0])
    composite, space = _composite(codes, sizes)
    if space <= _DENSE * rows + 1024:
        first = np.full(space, rows, np.int64)
        first[composite[::-1]] = np.arange(rows - 1, -1, -1)
        used = np.flatnonzero(first < rows)
        order = used[np.argsort(first[used], kind="stable")]
        number = np.empty(space, np.int64)
        number[order] = np.arange(len(order))
        return number[composite], first[order]
    _, first, inverse = np.unique(composite, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    return number[inverse], first[order]


def tuples(codes: Sequence[Ints], sizes: Sequence[int]) -> tuple[Ints, Ints, list[Ints]]:
    """Find the distinct tuples of several codes, in no order; sooner than `combine` does.

    Returns a number for each row, the numbers that are in use, and for each of those its codes.
    """
    composite, _ = _composite(codes, sizes)
    space = prod(sizes)
    if space <= _DENSE * len(composite) + 1024:
        used = np.flatnonzero(np.bincount(composite, minlength=space))
        return composite, used, _apart(used, sizes)
    _, first, inverse = np.unique(composite, return_index=True, return_inverse=True)
    return inverse, np.arange(len(first)), [code[first] for code in codes]


def _apart(composite: Ints, sizes: Sequence[int]) -> list[Ints]:
    """The codes of each of some codes of tuples: NumPy's own takes no more than 64 of them."""
    codes: list[Ints] = []
    for size in reversed(sizes):
        code = np.zeros(len(composite), np.int64)
        if size > 1:
            composite, code = np.divmod(composite, size)
        codes.append(code)
    return codes[::-1]


def _composite(codes: Sequence[Ints], sizes: Sequence[int]) -> tuple[Ints, int]:
    """One code for each tuple of codes, and below which number they are."""
    composite, space = np.zeros(0, np.int64), 1
    for each, size in zip(codes, sizes, strict=True):
        if space * size > _MOST:
            values, composite = np.unique(composite, return_inverse=True)
            space = len(values)
        if space > 1 < size:
            composite = composite * size + each
        elif size > 1:
            composite = each
        space *= size
    return (composite if space > 1 else np.zeros(len(codes[0]), np.int64)), space


def grown(array: np.ndarray, size: int, fill: object = 0) -> np.ndarray:
    """The array with room for `size` groups, doubling so that growing stays cheap."""
    if len(array) >= size:
        return array
    wider = np.full(max(size, 2 * len(array), 16), fill, array.dtype)
    wider[: len(array)] = array
    return wider


def hashable_keys(column: pa.Array) -> list[Hashable]:
    """Python values that are equal exactly if MQL calls the column's values equal."""
    if column.type in _PLAIN:
        values: list[Hashable] = column.to_pylist()
        return values
    return [_hashable(value) for value in to_python(column)]


def key_characters(keys: Iterable[Key]) -> int:
    """How long the texts in keys are; of lists and objects the texts that stand for them."""
    parts = list(chain.from_iterable(keys))
    texts = [part for part in parts if part.__class__ is str]
    pairs = [part[1] for part in parts if part.__class__ is tuple]
    return sum(map(len, texts)) + sum(map(len, map(str, pairs)))


def _hashable(value: object) -> Hashable:
    match value:
        case bool():
            return ("boolean", value)  # Python would have it equal 1
        case list() | dict():
            return ("json", canonical_json(value))
        case None | int() | float() | str():
            return value
    raise AssertionError(value)


class OpenGroups:
    """The groups that are open, and their numbers. A group is a pane and a tuple of key values.

    More than `groups_max` of them raise RunError.
    """

    def __init__(self, groups_max: int) -> None:
        self._groups_max = groups_max
        self._numbers: dict[Key, int] = {}
        self._panes = np.zeros(0, np.int64)
        self._first_rows = np.zeros(0, np.int64)
        self._events = np.zeros(0, np.int64)
        self.characters = 0
        """Those of the texts in all keys."""

    @property
    def size(self) -> int:
        """How many groups are open."""
        return len(self._numbers)

    @property
    def panes(self) -> Ints:
        """The pane of each group."""
        return self._panes[: self.size]

    @property
    def first_rows(self) -> Ints:
        """The place of each group's first row in the order of arrival."""
        return self._first_rows[: self.size]

    @property
    def events(self) -> Ints:
        """How many events each group holds; to be added to."""
        return self._events[: self.size]

    @property
    def keys(self) -> list[Key]:
        """The pane of each group, followed by its key values."""
        return list(self._numbers)

    def identify(self, columns: Sequence[pa.Array], panes: Ints, order: Order) -> tuple[Ints, Ints]:
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

    def open(self, keys: Sequence[Key], panes: Ints, order: Ints) -> Ints:
        """The groups of some keys; new ones are empty, and `order` is their first row's place."""
        self._open(keys, panes, order)
        return np.array([self._numbers[key] for key in keys], np.int64)

    def _open(self, keys: Sequence[Key], panes: Ints, order: Ints) -> None:
        before = self.size
        opened = [i for i, key in enumerate(keys) if key not in self._numbers]
        for number, i in enumerate(opened, before):
            self._numbers[keys[i]] = number
        if self.size > self._groups_max:
            reason = f"more than {self._groups_max:,} groups are open at once"
            raise RunError("group by", f"{reason}; group by something with fewer values")
        self.characters += key_characters([keys[i] for i in opened])
        self._panes = grown(self._panes, self.size)
        self._first_rows = grown(self._first_rows, self.size)
        self._events = grown(self._events, self.size)
        self._panes[before : self.size] = panes[opened]
        self._first_rows[before : self.size] = order[opened]

    def add(self, ids: Ints, events: Ints, order: Ints) -> Ints:
        """Add groups from elsewhere to these; which of them have the first row of their group."""
        np.add.at(self._events, ids, events)
        firsts = np.flatnonzero(order <= self._first_rows[ids])
        np.minimum.at(self._first_rows, ids, order)
        return firsts

    def of_panes(self, low: int, high: int) -> Ints:
        """The groups whose pane is in [low, high), ordered by pane, then by first appearance."""
        panes, first = self.panes, self.first_rows
        ids = np.flatnonzero((panes >= low) & (panes < high))
        return ids[np.lexsort([first[ids], panes[ids]])]

    def merged(self, ids: Ints) -> tuple[int, Ints, Ints]:
        """What some groups become when those that differ in their pane alone are one.

        Returns how many there are then, the groups by first appearance, and what each becomes.
        """
        keys = self.keys
        order = ids[np.argsort(self._first_rows[ids], kind="stable")]
        numbers: dict[Key, int] = {}
        into = [numbers.setdefault(keys[i][1:], len(numbers)) for i in order.tolist()]
        return len(numbers), order, np.array(into, np.int64)

    def keep(self, kept: Ints) -> None:
        """Forget all other groups; these are renumbered in their order."""
        keys = self.keys
        self._numbers = {keys[i]: n for n, i in enumerate(kept.tolist())}
        self.characters = key_characters(self._numbers)
        self._panes, self._first_rows = self._panes[kept], self._first_rows[kept]
        self._events = self._events[kept]


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
