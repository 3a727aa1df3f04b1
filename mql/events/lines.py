"""The lines of a chunk of NDJSON: where each ends, found without a loop in Python."""

from __future__ import annotations

import re
from math import isinf

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mql.columnar.layout import Ints

_NEWLINE, _OPENING, _CLOSING = map(ord, "\n{}")
_BYTE_OF_BIT, _LAST_BYTE = np.uint64(0x0001020304050607), np.uint64(56)
"""A word with one bit, the first of byte k, times this has k in its last byte."""

_LARGE = re.compile(rb"[eE]\+?[0-9]{3}|(?<![0-9])[0-9]{309}")
"""What a number has that may be beyond the largest double."""
_QUOTE = ord('"')
_STRING_OR_NUMBER = re.compile(
    rb'"(?:[^"\\\n]|\\.)*"'
    rb"|(?<![\w.+-])-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.+-])"
)
"""A whole string of JSON, or a whole number."""

Chunk = bytes | memoryview


class Lines:
    """Where the lines of a chunk are; the chunk ends with a newline."""

    def __init__(self, chunk: Chunk, ends: Ints | None = None) -> None:
        self._chunk = chunk
        self.ends = _newlines(np.frombuffer(chunk, np.uint8)) if ends is None else ends

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def are_objects(self) -> bool:
        """Whether each line begins with `{` and ends with `}`.

        Then a chunk of as many JSON values as lines has one on each: a value that went on over a
        newline would have a `}` before it or a `{` after it, never both.
        """
        data = np.frombuffer(self._chunk, np.uint8)
        opened = data[0] == _OPENING and (data[self.ends[:-1] + 1] == _OPENING).all()
        return bool(opened and (data[self.ends - 1] == _CLOSING).all())

    def texts(self) -> pa.Array:
        """The lines as strings, each with its newline, without copying them."""
        offsets = np.zeros(len(self) + 1, np.int32)
        offsets[1:] = self.ends + 1
        buffers = (pa.py_buffer(offsets), pa.py_buffer(self._chunk))
        return pa.StringArray.from_buffers(len(self), *buffers)


def tidy(chunk: bytes) -> bytes:
    """The chunk with a newline at its end, and with what is not valid UTF-8 replaced by U+FFFD."""
    if not chunk.isascii():
        try:
            chunk.decode()
        except UnicodeDecodeError:
            chunk = chunk.decode("utf-8", "replace").encode()
    return chunk if chunk.endswith(b"\n") else chunk + b"\n"


def null_infinite(chunk: bytes) -> bytes:
    r"""The chunk with null in place of each number that no double holds, as whole events show it.

    >>> null_infinite(b'{"a": 1e308, "b": 1e309, "c": "1e309"}\n')
    b'{"a": 1e308, "b": null, "c": "1e309"}\n'
    """
    if _LARGE.search(chunk) is None:
        return chunk
    return _STRING_OR_NUMBER.sub(_null_if_infinite, chunk)


def _null_if_infinite(match: re.Match[bytes]) -> bytes:
    text: bytes = match[0]
    return b"null" if text[0] != _QUOTE and isinf(float(text)) else text


def _newlines(data: npt.NDArray[np.uint8]) -> Ints:
    """Where the newlines are. Few words of eight bytes have one, so look at words first."""
    words = np.empty(-(-len(data) // 8), "<u8")
    words[-1] = 0
    mask = words.view(np.bool_)[: len(data)]
    np.equal(data, _NEWLINE, out=mask)
    at = np.flatnonzero(words != 0)
    bits = words[at]
    if (bits & (bits - 1)).any():  # two newlines in a word
        return np.flatnonzero(mask)
    return at * 8 + (bits * _BYTE_OF_BIT >> _LAST_BYTE).astype(np.int64)
