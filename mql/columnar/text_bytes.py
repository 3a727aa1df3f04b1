"""The UTF-8 bytes of a column of texts: where each text is, and columns of parts of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mql.columnar.arrays import from_numpy
from mql.columnar.layout import Ints, Mask

Bytes = npt.NDArray[np.uint8]

_ASCII_END = 128
_CONTINUATION, _CONTINUATION_BITS = 0x80, 0xC0


def bytes_of(texts: pa.Array) -> tuple[Bytes, Ints]:
    """The bytes of a column, and where each of its n texts begins in them: n + 1 offsets.

    >>> from mql.columnar.arrays import texts
    >>> data, offsets = bytes_of(texts(["x", "ab", None, "c"])[1:])
    >>> bytes(data), offsets
    (b'abc', array([0, 2, 2, 3]))
    """
    _, ends, data = texts.buffers()
    if not len(texts) or data is None:
        return np.zeros(0, np.uint8), np.zeros(len(texts) + 1, np.int64)
    offsets = np.frombuffer(ends, np.int32, len(texts) + 1, 4 * texts.offset).astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    return np.frombuffer(data, np.uint8, last - first, first), offsets - first


def is_ascii(texts: pa.Array) -> bool:
    """Whether all texts of a column are of ASCII characters only.

    >>> from mql.columnar.arrays import texts
    >>> is_ascii(texts(["é", "a"])), is_ascii(texts(["é", "a"])[1:])
    (False, True)
    """
    _, ends, data = texts.buffers()
    if not len(texts) or data is None:
        return True
    first, last = np.frombuffer(ends, np.int32, len(texts) + 1, 4 * texts.offset)[[0, -1]].tolist()
    return (
        first == last or int(np.frombuffer(data, np.uint8, last - first, first).max()) < _ASCII_END
    )


def point_starts(data: Bytes) -> Ints:
    """Where each code point begins.

    >>> point_starts(np.frombuffer("aé😀".encode(), np.uint8))
    array([0, 1, 3])
    """
    return np.flatnonzero((data & _CONTINUATION_BITS) != _CONTINUATION)


def texts_of_bytes(data: Bytes, starts: Ints, lengths: Ints, null: Mask | None) -> pa.Array:
    """A column of texts, each some bytes from a place on; where there is null they count for none.

    >>> data = np.frombuffer(b"hello", np.uint8)
    >>> texts_of_bytes(data, np.array([1, 0]), np.array([2, 5]), None).to_pylist()
    ['el', 'hello']
    """
    if null is not None:
        lengths = np.where(null, 0, lengths)
    ends = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=ends[1:])
    places = np.repeat(starts - ends[:-1], lengths)
    places += np.arange(ends[-1])
    buffers = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(data[places])]
    if null is not None and null.any():
        buffers[0] = from_numpy(~null).buffers()[1]
    return pa.Array.from_buffers(pa.string(), len(lengths), buffers)
