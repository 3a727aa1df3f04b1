"""The time of an event, from a property: recognized as ms, s, µs or ns since 1970, or ISO 8601."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import from_numpy, ints
from mql.columnar.build import null_where
from mql.columnar.kinds import kinds_of
from mql.columnar.layout import Mask
from mql.columnar.read import doubles_of, ints_of, strings_of
from mql.values.kind import Kind

_UNITS = ((1e17, "ns", 1e-6), (1e14, "µs", 1e-3), (1e11, "ms", 1.0), (0.0, "s", 1e3))
"""From this magnitude up a number is taken in this unit: 1e11 s is the year 5138."""

_NAMES = {
    "ns": "nanoseconds since 1970",
    "µs": "microseconds since 1970",
    "ms": "milliseconds since 1970",
    "s": "seconds since 1970",
    "ISO": "ISO 8601",
}
_SAFE_MS = 2**62


@dataclass(frozen=True, slots=True)
class TimeUnit:
    """How a time property is written: a key of `_NAMES`."""

    name: str

    @property
    def description(self) -> str:
        """The unit in words."""
        return _NAMES[self.name]


def recognize(column: pa.Array) -> TimeUnit | None:
    """How the first times are written, or None if the column holds nothing like a time.

    >>> recognize(pa.array([1700000000])).name
    's'
    >>> recognize(pa.array(["2015-05-17T10:05:03Z"])).name
    'ISO'
    """
    kinds = kinds_of(column)
    numbers = doubles_of(column)[(kinds == Kind.INT) | (kinds == Kind.DOUBLE)]
    if len(numbers):
        middle = np.sort(np.abs(numbers))[len(numbers) // 2]  # `np.median` imports `numpy.ma`
        return TimeUnit(next(name for least, name, _ in _UNITS if middle >= least))
    strings = kernels.filter(strings_of(column), kinds == Kind.STRING)
    if any(_parse(text) is not None for text in strings.slice(0, 10).to_pylist()):
        return TimeUnit("ISO")
    return None


def to_milliseconds(column: pa.Array, unit: TimeUnit) -> pa.Array:
    """Times in ms since 1970, int64; null where the value is not a time."""
    if unit.name == "ms" and column.type == pa.int64():
        return column
    kinds = kinds_of(column)
    if unit.name == "ISO":
        return _from_texts(strings_of(column), kinds == Kind.STRING)
    scale = next(scale for _, name, scale in _UNITS if name == unit.name)
    numeric = (kinds == Kind.INT) | (kinds == Kind.DOUBLE)
    doubles = np.where(numeric, doubles_of(column) * scale, 0.0)
    good = numeric & (np.abs(doubles) < _SAFE_MS)
    ms = np.where(good, np.floor(doubles), 0).astype(np.int64)
    if scale == 1.0:
        ms = np.where(kinds == Kind.INT, ints_of(column), ms)
    return from_numpy(ms, ~good)


def _from_texts(texts: pa.Array, where: Mask) -> pa.Array:
    if where.all():
        for zone in ("UTC", None):
            try:
                stamps = kernels.cast(texts, pa.timestamp("ms", zone))
                return kernels.cast(stamps, pa.int64())
            except pa.ArrowInvalid:
                continue
    encoded = kernels.dictionary_encode(texts)
    parsed = ints([_parse(text) for text in encoded.dictionary.to_pylist()])
    values = kernels.take(parsed, encoded.indices)
    return values if where.all() else null_where(values, ~where)


def _parse(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)
