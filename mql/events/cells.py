"""The layout in which compiled code writes a column, and the Arrow column that it is.

Of each row it writes a kind, eight bytes of value, and where its text ends: `columns.c` from lines
of JSON, an agent's `copy.c` from events.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import from_numpy, to_numpy
from mql.columnar.build import column_of, variant
from mql.columnar.concat import as_variant
from mql.columnar.kinds import kinds_of
from mql.columnar.layout import Ints, Kinds, Mask
from mql.values.json_values import read_json
from mql.values.kind import Kind

LONG_DOUBLE, JSON = 6, 7
"""Kinds beyond those of `mql.values.kind.Kind`: the column's text holds the digits, or JSON."""

Bytes = npt.NDArray[np.uint8]


def _bit(kind: int) -> int:
    return 1 << kind


class _Seen(IntEnum):
    """What `seen` is where there is but one kind of value."""

    INT = 1 << Kind.INT
    DOUBLE = 1 << Kind.DOUBLE
    STRING = 1 << Kind.STRING


@dataclass(frozen=True, slots=True)
class Cells:
    """The arrays of a column of n rows.

    `kinds` (n) are those of `mql.values.kind.Kind`, and two more; `values` (n) the integer, or
    the bits of the double; `offsets` (n + 1, int32) the place of each row's text in `text`, which
    is UTF-8. Where texts are `numbered`, there may be any number of them, and `values` has that of
    a row's. Columns are made of them without a copy: they must not change any more.
    """

    kinds: Kinds
    values: Ints
    offsets: npt.NDArray[np.int32]
    text: Bytes
    numbered: bool = False

    def column(self, seen: int) -> pa.Array:
        """The Arrow column; bit k of `seen` is set if there are values of kind k.

        Of texts that are numbered it is a dictionary, in which one may be twice.
        """
        null = self.kinds == Kind.NULL if seen & _bit(Kind.NULL) else None
        match seen & ~_bit(Kind.NULL):
            case 0:
                return pa.nulls(len(self.kinds))
            case _Seen.INT:
                return from_numpy(self.values, null)
            case _Seen.DOUBLE:
                return from_numpy(self.values.view(np.float64), null)
            case _Seen.STRING if self.numbered:
                numbers = from_numpy(self.values, null)
                return pa.DictionaryArray.from_arrays(numbers, self._dictionary(), safe=False)
            case _Seen.STRING:
                return self._texts(null)
            case _:
                return self._mixed(seen)

    def _texts(self, null: Mask | None) -> pa.Array:
        """The texts, null where there is none."""
        if self.numbered:
            return kernels.take(self._dictionary(), from_numpy(self.values, null))
        bits = None if null is None else pa.py_buffer(np.packbits(~null, bitorder="little"))
        return self._dictionary(bits)

    def _dictionary(self, bits: pa.Buffer | None = None) -> pa.Array:
        """All texts; `bits` say which are there."""
        used = pa.py_buffer(self.text[: self.offsets[-1]])
        size = len(self.offsets) - 1
        return pa.StringArray.from_buffers(size, pa.py_buffer(self.offsets), used, bits)

    def _mixed(self, seen: int) -> pa.Array:
        """Values of more than one kind, or such as have to be read from their text."""
        kinds, values, texts = self.kinds, self.values, self._texts(self.kinds < Kind.STRING)
        ints = np.where((kinds == Kind.INT) | (kinds == Kind.BOOL), values, 0)
        doubles = np.where(kinds == Kind.DOUBLE, values.view(np.float64), 0.0)
        if seen & (_bit(LONG_DOUBLE) | _bit(JSON)):
            kinds = kinds.copy()
        if seen & _bit(LONG_DOUBLE):
            long = kinds == LONG_DOUBLE
            doubles[long] = to_numpy(kernels.cast(kernels.filter(texts, long), pa.float64()))
            kinds[long] = Kind.DOUBLE
        if seen & _bit(JSON):
            odd = kinds == JSON
            read = [read_json(text) for text in kernels.filter(texts, odd).to_pylist()]
            column = as_variant(column_of(read))
            kinds[odd], ints[odd] = kinds_of(column), to_numpy(column.field("int"))
            doubles[odd] = to_numpy(column.field("double"))
            texts = kernels.replace(texts, odd, column.field("text"))
        return variant(kinds, ints, doubles, texts)
