"""`sample`: random, sticky by key, or a rate in each second of the clock."""

from __future__ import annotations

import hashlib

import numpy as np

from mql.columnar import kernels
from mql.columnar.arrays import to_numpy
from mql.columnar.dice import Dice
from mql.columnar.layout import TIME, Mask
from mql.columnar.read import to_python
from mql.exec.aggregates.group_keys import encode
from mql.exec.expressions.frame import Frame
from mql.exec.operator import Block, Counters, PerBlock, keep
from mql.language.syntax import Property, RandomSample, RateSample, StickySample
from mql.values.json_values import canonical_json, write_json

_SECONDS = 3_600
"""Seconds of the clock whose events are remembered; older ones start anew."""


class RandomSampleOperator(PerBlock):
    """Keeps each event with the chance threshold / factor."""

    def __init__(self, sample: RandomSample, counters: Counters, seed: int) -> None:
        self._share = min(1.0, sample.threshold / sample.factor)
        self._dice = Dice(seed)
        self._counters = counters

    def apply(self, block: Block) -> Block:
        """The block with the events that the dice keep."""
        mask = self._dice.random(block.batch.num_rows) < self._share
        return _counted(block, mask, self._counters)


class StickySampleOperator(PerBlock):
    """Keeps an event by the hash of its keys' values: alike on every machine, in every run.

    The hash is BLAKE2b of the salt and of each value's kind and text, numbers that are equal
    hashing alike; the first eight bytes, big-endian, modulo the factor, are below the threshold
    if the event stays.
    """

    def __init__(self, sample: StickySample, counters: Counters) -> None:
        self._sample = sample
        self._counters = counters
        self._known: dict[tuple[str | None, ...], bool] = {}

    def apply(self, block: Block) -> Block:
        """The block with the events whose keys stay."""
        frame = Frame(block.batch)
        columns = [_tagged(frame, key) for key in self._sample.keys]
        mask = np.fromiter(map(self._keeps, zip(*columns, strict=True)), np.bool_, frame.size)
        return _counted(block, mask, self._counters)

    def _keeps(self, key: tuple[str | None, ...]) -> bool:
        kept = self._known.get(key)
        if kept is None:
            if len(self._known) >= 65_536:  # noqa: PLR2004 - a cache, bounded
                self._known.clear()
            kept = self._known[key] = self._decide(key)
        return kept

    def _decide(self, key: tuple[str | None, ...]) -> bool:
        if all(part is None for part in key):
            return False
        parts = [str(self._sample.salt), *("" if part is None else part for part in key)]
        digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self._sample.factor < self._sample.threshold


class RateSampleOperator(PerBlock):
    """Passes the first `threshold` events of each second of the clock."""

    def __init__(self, sample: RateSample, counters: Counters) -> None:
        self._threshold = sample.threshold
        self._counters = counters
        self._passed: dict[int, int] = {}

    def apply(self, block: Block) -> Block:
        """The block with the events that the rate lets through."""
        column = kernels.fill_null(block.batch.column(TIME), 0)
        seconds, which = np.unique(to_numpy(column) // 1000, return_inverse=True)
        before = np.array([self._passed.get(s, 0) for s in seconds.tolist()], np.int64)
        order = np.argsort(which, kind="stable")
        starts = np.searchsorted(which[order], which[order])
        place = np.empty(len(which), np.int64)
        place[order] = np.arange(len(which)) - starts
        mask = before[which] + place < self._threshold if len(which) else np.zeros(0, np.bool_)
        self._count(seconds.tolist(), np.bincount(which[mask], minlength=len(seconds)).tolist())
        return _counted(block, mask, self._counters)

    def _count(self, seconds: list[int], passed: list[int]) -> None:
        for second, count in zip(seconds, passed, strict=True):
            self._passed[second] = self._passed.get(second, 0) + count
        if len(self._passed) > _SECONDS:
            for second in sorted(self._passed)[:-_SECONDS]:
                del self._passed[second]


def _tagged(frame: Frame, key: str) -> list[str | None]:
    """The kind and text of each value of a key, such as `s:u12` or `n:5`; equal values alike."""
    codes, values = encode(frame.property(Property((key,))))
    tags = [_tag(value) for value in to_python(values)]
    return [tags[code] for code in codes.tolist()]


def _tag(value: object) -> str | None:
    match value:
        case None:
            return None
        case str():
            return f"s:{value}"
        case bool():
            return f"b:{write_json(value)}"
        case int() | float():
            return f"n:{canonical_json(value)}"
        case _:
            return f"j:{canonical_json(value)}"


def _counted(block: Block, mask: Mask, counters: Counters) -> Block:
    counters.sampled_out += int(len(mask) - mask.sum())
    return block.with_batch(keep(block.batch, mask))
