"""Lines that hold what a filter needs, found by compiled code: `mql/events/search.c`."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from mql.columnar.arrays import binaries
from mql.columnar.layout import Ints
from mql.events.native import library
from mql.host.compiled import agrees, layout
from mql.sources.json_spelling import Clause, ValueOf
from mql.sources.slices import Slice

_MOST = 1 << 14
"""So many lines are found in a slice at most."""


class Found(NamedTuple):
    """Lines that may pass: their text, the number of each from 0; and how many lines there are."""

    text: bytes
    numbers: Ints
    lines: int


class _Needle(ctypes.Structure):
    _fields_ = (
        ("text", ctypes.c_char_p),
        ("size", ctypes.c_int32),
        ("first", ctypes.c_int32),
        ("second", ctypes.c_int32),
    )


class _Strings(ctypes.Structure):
    _fields_ = (
        ("text", ctypes.c_void_p),
        ("offsets", ctypes.c_void_p),
        ("slots", ctypes.c_void_p),
        ("last_slot", ctypes.c_uint32),
    )


class _Clause(ctypes.Structure):
    _fields_ = (
        ("needles", ctypes.POINTER(_Needle)),
        ("count", ctypes.c_int64),
        ("values", ctypes.POINTER(_Strings)),
    )


class _Found(ctypes.Structure):
    _fields_ = (
        ("text", ctypes.c_void_p),
        ("size", ctypes.c_int64),
        ("room", ctypes.c_int64),
        ("numbers", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("most", ctypes.c_int64),
        ("decided", ctypes.c_void_p),
    )


CONSTANTS = {
    **layout("Needle", _Needle),
    **layout("Strings", _Strings),
    **layout("Clause", _Clause),
    **layout("Found", _Found),
}
"""What the compiled code has to agree with."""


@cache
def compiled() -> ctypes.CDLL | None:
    """The compiled search, or None where it was not built, or of other sources."""
    loaded = library()
    if loaded is None or not agrees(loaded, "constants_of_search", CONSTANTS):
        return None
    integer, address = ctypes.c_int64, ctypes.c_void_p
    loaded.fill_slots.argtypes = (ctypes.POINTER(_Strings), integer)
    loaded.fill_slots.restype = ctypes.c_int32
    loaded.find_lines.argtypes = (
        address,
        integer,
        ctypes.POINTER(_Clause),
        integer,
        ctypes.POINTER(_Needle),
        ctypes.POINTER(_Found),
    )
    loaded.find_lines.restype = integer
    return loaded


class Search:
    """A search for lines that hold something of each clause, or else the escape.

    The first clause decides how fast it is. `sample` says which bytes are rare.
    """

    def __init__(self, clauses: Sequence[Clause], escape: bytes, sample: bytes) -> None:
        found = compiled()
        assert found is not None, "there is no search without the compiled code"
        self._find = found.find_lines
        counts = np.bincount(np.frombuffer(sample, np.uint8), minlength=256)
        self._tables = [_Table(c.values) if isinstance(c, ValueOf) else None for c in clauses]
        made = [_clause(*pair, counts) for pair in zip(clauses, self._tables, strict=True)]
        self._clauses = (_Clause * len(made))(*made)
        self._escape = _needle(escape, counts)
        self._numbers = np.empty(_MOST, np.int64)
        self._text = np.empty(0, np.uint8)

    def find(self, lines: Slice, most_bytes: int) -> Found | None:
        """The lines that may pass; None if they are many, or more than so many bytes."""
        data, start, end = lines
        if len(self._text) < most_bytes:
            self._text = np.empty(most_bytes, np.uint8)
        found = _Found(
            text=self._text.ctypes.data,
            room=most_bytes,
            numbers=self._numbers.ctypes.data,
            most=_MOST,
        )
        address = np.frombuffer(data, np.uint8).ctypes.data + start
        clauses, escape = self._clauses, self._escape
        line_count = self._find(address, end - start, clauses, len(clauses), escape, found)
        if line_count < 0:
            return None
        text = self._text[: found.size].tobytes()
        return Found(text, self._numbers[: found.count].copy(), line_count)


class _Table:
    """Strings in the hash table of `search.c`."""

    def __init__(self, strings: Sequence[bytes]) -> None:
        _, offsets, text = binaries(strings).buffers()
        slots = np.full(1 << (2 * len(strings)).bit_length(), -1, np.int32)
        self._kept = (text, offsets, slots)  # as long as the structure points to them
        text_address = 0 if text is None else text.address
        self.strings = _Strings(text_address, offsets.address, slots.ctypes.data, len(slots) - 1)
        found = compiled()
        assert found is not None
        filled = found.fill_slots(self.strings, len(strings))
        assert filled, "there is a slot for each string, and one that stays empty"


def _clause(clause: Clause, table: _Table | None, counts: Ints) -> _Clause:
    texts = (clause.key,) if isinstance(clause, ValueOf) else clause
    needles = (_Needle * len(texts))(*(_needle(text, counts) for text in texts))
    values = None if table is None else ctypes.pointer(table.strings)
    return _Clause(needles, len(needles), values)


def _needle(text: bytes, counts: Ints) -> _Needle:
    """A text with the places of its two rarest bytes, different ones if it has such."""
    rarest = sorted(
        {byte: place for place, byte in enumerate(text)}.items(), key=lambda b: counts[b[0]]
    )
    first, second = rarest[0][1], rarest[min(1, len(rarest) - 1)][1]
    return _Needle(text, len(text), first, second)
