"""`sample`: random, sticky by key, or a rate in each second of the clock."""

from __future__ import annotations

import hashlib

import numpy as np

from mql.batch import TIME, Mask, to_python
from mql.exec.frame import Frame
from mql.exec.group import encode
from mql.exec.operator import Block, Counters, PerBlock, keep
from mql.syntax import Property, RandomSample, RateSample, StickySample
from mql.values import canonical_json, write_json


class RandomSampleOperator(PerBlock):
    """Keeps each event with the chance threshold / factor."""

    def __init__(self, sample: RandomSample, counters: Counters, seed: int) -> None:
        self._share = min(1.0, sample.threshold / sample.factor)
        self._random = np.random.default_rng(seed)
        self._counters = counters

    def apply(self, block: Block) -> Block:
        """The block with the events that the dice keep."""
        mask = self._random.random(block.batch.num_rows) < self._share
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
        self._second: int | None = None
        self._passed = 0

    def apply(self, block: Block) -> Block:
        """The block with the events that the rate lets through."""
        seconds = block.batch.column(TIME).fill_null(0).to_numpy() // 1000
        mask = np.zeros(len(seconds), np.bool_)
        starts = np.flatnonzero(np.diff(seconds, prepend=seconds[:1] - 1))
        ends = [*starts[1:], len(seconds)][: len(starts)]
        for start, end in zip(starts, ends, strict=True):
            if seconds[start] != self._second:
                self._second, self._passed = int(seconds[start]), 0
            taken = min(int(end - start), max(0, self._threshold - self._passed))
            mask[start : start + taken] = True
            self._passed += taken
        return _counted(block, mask, self._counters)


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
