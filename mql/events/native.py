"""Lines of JSON to Arrow columns by compiled code: `columns.c`, loaded if it was built.

It reads paths of keys. What it leaves (a list, an integer beyond 64 bits) is
read here, value by value; a chunk with a line that it does not take is read by the caller in its
own way. So whether it is there changes how fast an answer comes, never the answer.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mql.columnar.layout import Ints
from mql.events.cells import JSON, LONG_DOUBLE, Bytes, Cells
from mql.host.compiled import agrees, layout, load
from mql.values.kind import Kind

LIBRARY = Path(__file__).with_name("_compiled.so")
"""Where the build puts what it has compiled."""

_NEWLINE = ord("\n")
_MAX_DEPTH = 32
_LONGEST_KEY_SIZE = 63
"""The bit of a node's `key_sizes` that stands for this and all greater sizes."""
_MAX_CHUNK = 2**31 - 1
_MAX_TEXTS = 1 << 28
"""Of longer lines so many columns are not made here (in bytes, of all columns' texts)."""
_BLOCK = 32
"""Texts are copied in blocks of so many bytes; the last may reach behind its text."""
_SCRATCH_KEPT = 1 << 24
"""A larger buffer (in bytes), for an unusually long line, is not kept."""


class _Node(ctypes.Structure):
    _fields_ = (
        ("key", ctypes.c_char_p),
        ("key_size", ctypes.c_int32),
        ("column", ctypes.c_int32),
        ("first_child", ctypes.c_int32),
        ("children", ctypes.c_int32),
        ("first_column", ctypes.c_int32),
        ("end_column", ctypes.c_int32),
        ("key_sizes", ctypes.c_uint64),
    )


class _Column(ctypes.Structure):
    """Where the arrays of a column are, and which kinds of values there are."""

    _fields_ = tuple(
        (name, ctypes.c_uint64) for name in ("kinds", "values", "offsets", "text", "seen")
    )


_COLUMN = np.dtype(_Column)


@dataclass(slots=True)
class _Key:
    """A key of some paths; `path` is the number of the one that ends here."""

    path: int | None = None
    keys: dict[str, _Key] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decoded:
    """The columns of the given paths, in their order, and where the lines end."""

    columns: list[pa.Array]
    line_ends: Ints


CONSTANTS = {
    "NOTHING": Kind.NULL,
    "BOOL": Kind.BOOL,
    "INT": Kind.INT,
    "DOUBLE": Kind.DOUBLE,
    "STRING": Kind.STRING,
    "LONG_DOUBLE": LONG_DOUBLE,
    "JSON": JSON,
    "BLOCK": _BLOCK,
    "MAX_DEPTH": _MAX_DEPTH,
    "LONGEST_KEY_SIZE": _LONGEST_KEY_SIZE,
    **layout("Node", _Node),
    **layout("Column", _Column),
}
"""What the compiled code has to agree with."""


@cache
def library() -> ctypes.CDLL | None:
    """The compiled code, or None where it was not built, or of other sources."""
    loaded = load(ctypes.CDLL, LIBRARY)
    if loaded is None or not agrees(loaded, "constants_of_columns", CONSTANTS):
        return None
    loaded.count_lines.argtypes = (ctypes.c_void_p, ctypes.c_int64)
    loaded.count_lines.restype = ctypes.c_int64
    loaded.read_columns.argtypes = (
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.POINTER(_Node),
        ctypes.c_int32,
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_void_p,
    )
    loaded.read_columns.restype = ctypes.c_int64
    return loaded


class NativeDecoder:
    """Decodes some paths, all of keys alone."""

    def __init__(self, compiled: ctypes.CDLL, paths: Sequence[tuple[str, ...]]) -> None:
        self._compiled = compiled
        self._tree = _Tree(paths)
        self._scratch: Bytes = np.empty((0, 0), np.uint8)

    @classmethod
    def of(cls, paths: Sequence[tuple[object, ...]]) -> NativeDecoder | None:
        """A decoder of these paths, or None if they, or this installation, have to do without."""
        compiled = library()
        keys = [tuple(step for step in path if isinstance(step, str)) for path in paths]
        fit = all(len(k) == len(p) <= _MAX_DEPTH for k, p in zip(keys, paths, strict=True))
        return cls(compiled, keys) if compiled is not None and fit else None

    def decode(self, chunk: bytes | memoryview) -> Decoded | None:
        """The columns of a chunk of whole lines; None if not every line is taken."""
        size = len(chunk)
        if not 0 < size <= _MAX_CHUNK or chunk[-1] != _NEWLINE:
            return None
        start = np.frombuffer(chunk, np.uint8).ctypes.data
        rows = self._compiled.count_lines(start, size)
        if rows < 0:
            return None
        nodes, columns = self._tree.nodes, len(self._tree.order)
        if columns * size > _MAX_TEXTS:
            return None
        arrays = _Arrays(rows, self._texts(columns, size))
        ends = np.empty(rows, np.int32)
        table = arrays.table.ctypes.data
        taken = self._compiled.read_columns(
            start, size, nodes, len(nodes), table, columns, rows, ends.ctypes.data
        )
        if taken != rows:
            return None
        by_path = dict(zip(self._tree.order, arrays.columns(), strict=True))
        return Decoded([by_path[path] for path in range(columns)], ends)

    def _texts(self, columns: int, size: int) -> Bytes:
        """A buffer for each column's text, which is never longer than all lines together."""
        if self._scratch.shape[1] >= size + _BLOCK:
            return self._scratch
        made = np.empty((columns, size + _BLOCK), np.uint8)
        if size <= _SCRATCH_KEPT:
            self._scratch = made
        return made


class _Tree:
    """The keys of some paths as nodes, in the layout of `columns.c`."""

    def __init__(self, paths: Sequence[tuple[str, ...]]) -> None:
        root = _Key()
        for number, path in enumerate(paths):
            at = root
            for step in path:
                at = at.keys.setdefault(step, _Key())
            at.path = number
        self.order: list[int] = []
        """The path that each column is of: in the order of a walk, so that a node has a range."""
        self._names: list[bytes] = []  # what the nodes point to has to live as long as they do
        made = [_Node()]
        self._add(made, 0, b"", root)
        self.nodes = (_Node * len(made))(*made)

    def _add(self, nodes: list[_Node], at: int, name: bytes, key: _Key) -> None:
        """Write a key to its node, and those below it to nodes of their own."""
        first_column, column = len(self.order), -1
        if key.path is not None:
            column = len(self.order)
            self.order.append(key.path)
        first_child, sizes = len(nodes), 0
        nodes += [_Node() for _ in key.keys]
        for child, (text, below) in enumerate(key.keys.items(), first_child):
            child_name = text.encode()
            sizes |= 1 << min(len(child_name), _LONGEST_KEY_SIZE)
            self._add(nodes, child, child_name, below)
        self._names.append(name)
        children, end_column = len(key.keys), len(self.order)
        nodes[at] = _Node(
            name, len(name), column, first_child, children, first_column, end_column, sizes
        )


class _Arrays:
    """What `columns.c` writes of some columns; each array has a row for each of them."""

    def __init__(self, rows: int, texts: Bytes) -> None:
        size = len(texts)
        self._kinds = np.zeros((size, rows), np.uint8)
        self._values = np.zeros(
            (size, rows), np.int64
        )  # what is under a null may leave the process
        self._offsets = np.empty((size, rows + 1), np.int32)
        self._texts = texts
        self.table = np.zeros(size, _COLUMN)
        self._point("kinds", self._kinds)
        self._point("values", self._values)
        self._point("offsets", self._offsets)
        self._point("text", texts)

    def _point(self, name: str, array: np.ndarray[tuple[int, ...], Any]) -> None:
        self.table[name] = array.ctypes.data + np.arange(len(array)) * array.strides[0]

    def columns(self) -> list[pa.Array]:
        """The Arrow columns."""
        seen, ends = self.table["seen"].tolist(), self._offsets[:, -1].tolist()
        made = []
        for i, end in enumerate(ends):
            text = self._texts[i, :end].copy()  # the buffer is used again
            cells = Cells(self._kinds[i], self._values[i], self._offsets[i], text)
            made.append(cells.column(seen[i]))
        return made
