"""Damaged lines through the compiled code, every array of it in front of a page without access.

    python -m tests.native.native_bounds ROUNDS LIBRARY

A read or a write behind any of them ends this process. Prints how many chunks were read.
"""

from __future__ import annotations

import ctypes
import mmap
import random
import sys
from pathlib import Path

import numpy as np

from mql.events.native import _BLOCK, _COLUMN, NativeDecoder, library
from mql.sources.json_spelling import ValueOf
from mql.sources.search import Search, _Found
from tests.native.sanitized import use

PATHS = (("a",), ("b", "c"), ("b",), ("message",))
PROT_NONE = 0
PAGE = mmap.PAGESIZE
ROOM = 1 << 16
PIECES = (
    *(b'{"a":', b'"b":{"c":', b'"message":"', b'"x":', b"{", b"}", b"[", b"]", b",", b":", b"\n"),
    *(b"1234567", b"12345678901234567890", b"-0.5e10", b"1.", b"e", b"true", b"nul", b"false"),
    *(b'"', b"\\", b"\\u00e9", b"\\ud83d\\ude00", b"\\u12", b" ", "é€😀".encode(), b"\xe2\x82"),
    *(b"sixteen characters", b'"an unusually long key with more":', b"}\n", b'"}\n', b"}}\n"),
)
WHOLE = b'{"a":12,"b":{"c":"x\\n"},"message":"some text","x":[1,{"y":"z"}]}\n'


class Guarded:
    """Memory that ends where a page without access begins."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, ROOM + PAGE)
        self._start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mprotect(ctypes.c_void_p(self._start + ROOM), PAGE, PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect")

    def at_end(self, size: int) -> int:
        """The address of the last bytes, so many, made zero."""
        address = self._start + ROOM - size
        ctypes.memset(address, 0, size)
        return address

    def holding(self, data: bytes) -> int:
        """The address of these bytes, at the end."""
        address = self.at_end(len(data))
        ctypes.memmove(address, data, len(data))
        return address


def damaged(dice: random.Random) -> bytes:
    """Lines that are nearly JSON, with a newline at the end."""
    if dice.random() < 0.5:
        text = bytearray(WHOLE * dice.randint(1, 3))
        for _ in range(dice.randint(0, 3)):
            text[dice.randrange(len(text))] = dice.randrange(256)
        text = text[: dice.randint(1, len(text))]
    else:
        text = bytearray(b"".join(dice.choices(PIECES, k=dice.randint(1, 20))))
    return bytes(text) + b"\n"


def main(rounds: int) -> int:
    """Read so many damaged chunks."""
    compiled, decoder = library(), NativeDecoder.of(PATHS)
    assert compiled is not None
    assert decoder is not None
    dice = random.Random(1)  # noqa: S311 - repeatable
    search = Search([(b'"message"', b"x"), ValueOf(b'"a"', (b"x", b"some text"))], b"\\u00", WHOLE)
    text, ends, kept, numbers = Guarded(), Guarded(), Guarded(), Guarded()
    arrays = [[Guarded() for _ in range(4)] for _ in PATHS]
    for _ in range(rounds):
        chunk = damaged(dice)
        size = len(chunk)
        start = text.holding(chunk)
        compiled.count_lines(start, size)
        rows = chunk.count(b"\n")
        sizes = (rows, 8 * rows, 4 * rows + 4, size + _BLOCK)
        addresses = [
            (*(one.at_end(n) for one, n in zip(four, sizes, strict=True)), 0) for four in arrays
        ]
        columns = np.array(addresses, _COLUMN)
        ends_at = ends.at_end(4 * rows)
        nodes, table = decoder._tree.nodes, columns.ctypes.data
        taken = compiled.read_columns(
            start, size, nodes, len(nodes), table, len(PATHS), rows, ends_at
        )
        assert 0 <= taken <= rows
        found = _Found(
            text=kept.at_end(size), room=size, numbers=numbers.at_end(8 * rows), most=rows
        )
        lines = compiled.find_lines(start, size, search._clauses, 2, search._escape, found)
        assert lines == rows
    return rounds


if __name__ == "__main__":
    use(decode=Path(sys.argv[2]))
    sys.stdout.write(f"{main(int(sys.argv[1]))}\n")
