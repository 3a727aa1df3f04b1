"""`substring(x, from[, length])`: the code points at some positions, counted from 1.

Positions may lie before the text and beyond it; the code points that exist there are given.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.kinds import is_null
from mql.columnar.layout import Ints, Mask
from mql.columnar.text_bytes import bytes_of, is_ascii, point_starts, texts_of_bytes
from mql.exec.expressions.scalars.arguments import size_of, spread, texts_in, whole_numbers_in
from mql.values.json_coercion import INT64_MAX

_TEXT_BYTES_MAX = 2**31 - 1


def substring(column: pa.Array, first: pa.Array, length: pa.Array | None = None) -> pa.Array:
    """The parts of the texts from a position on, all of it or so many code points."""
    size = size_of([column, first] if length is None else [column, first, length])
    texts = spread(texts_in(column), size)
    starts, are_known = whole_numbers_in(first)
    lengths = None
    if length is not None:
        lengths, have_length = whole_numbers_in(length)
        are_known = are_known & have_length
    plain = is_ascii(texts)
    if plain and len(are_known) == 1 and are_known[0]:
        return _slices(texts, int(starts[0]), None if lengths is None else int(lengths[0]))
    null = is_null(texts) | ~are_known
    return _parts(texts, starts, lengths, null if null.any() else None, plain=plain)


def _slices(texts: pa.Array, start: int, length: int | None) -> pa.Array:
    """The same bytes of all texts, which are of ASCII."""
    begin = min(max(start, 1) - 1, _TEXT_BYTES_MAX)
    end = _TEXT_BYTES_MAX if length is None else start + max(length, 0) - 1
    end = min(max(end, begin), _TEXT_BYTES_MAX)
    return kernels.slice_bytes(texts.view(pa.binary()), begin, end).view(pa.string())


def _parts(
    texts: pa.Array, starts: Ints, lengths: Ints | None, null: Mask | None, *, plain: bool
) -> pa.Array:
    data, offsets = bytes_of(texts)
    if plain:
        begins, sizes = _range(np.diff(offsets), starts, lengths)
        return texts_of_bytes(data, offsets[:-1] + begins, sizes, null)
    points = np.append(point_starts(data), len(data))  # the last one is the end
    firsts = np.searchsorted(points, offsets)
    begins, sizes = _range(np.diff(firsts), starts, lengths)
    from_point = firsts[:-1] + begins
    from_byte = points[from_point]
    return texts_of_bytes(data, from_byte, points[from_point + sizes] - from_byte, null)


def _range(whole: Ints, starts: Ints, lengths: Ints | None) -> tuple[Ints, Ints]:
    """Where each part begins, counted from 0, and its size, of texts that are so long."""
    begins = np.minimum(np.maximum(starts, 1) - 1, whole)
    if lengths is None:
        return begins, whole - begins
    with np.errstate(over="ignore"):
        ends = starts + np.maximum(lengths, 0)
    ends = np.where((starts > 0) & (ends < starts), INT64_MAX, ends)  # it was beyond 64 bits
    stops = np.clip(np.maximum(ends, 1) - 1, begins, whole)
    return begins, stops - begins
