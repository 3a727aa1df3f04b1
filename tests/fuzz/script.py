"""A story for a core as bytes, so that a fuzzer can change it: any bytes are a story.

A step is a byte that says what happens, a byte with a number (of a peer, of an action, of a span
of time), and for frames their two lengths, little-endian, and their bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

from tests.fuzz.worlds import Frames, World

HEAR, HEAR_TWO, TIME, ACT = range(4)
_SPANS_US = (0, 1_000, 10_000, 100_000, 500_000, 1_100_000, 4_000_000, 70_000_000)
_ONE, _TWO = Struct("<H"), Struct("<HH")

Step = tuple[int, int, Frames]
MOST_STEPS = 200


def write(steps: Iterable[Step]) -> bytes:
    """The bytes of a story; frames that are too long for it are cut."""
    parts = []
    for what, number, frames in steps:
        parts.append(bytes([what, number]))
        if what in (HEAR, HEAR_TWO):
            kept = [frame[:0xFFFF] for frame in frames]
            lengths = _TWO if what == HEAR_TWO else _ONE
            parts += [lengths.pack(*map(len, kept)), *kept]
    return b"".join(parts)


def read(data: bytes) -> Iterable[Step]:
    """The steps of any bytes."""
    at = 0
    for _ in range(MOST_STEPS):
        if at + 2 > len(data):
            return
        what, number = data[at] % 4, data[at + 1]
        at += 2
        frames: Frames = []
        if what in (HEAR, HEAR_TWO):
            lengths = _TWO if what == HEAR_TWO else _ONE
            if at + lengths.size > len(data):
                return
            sizes = lengths.unpack_from(data, at)
            at += lengths.size
            for size in sizes:
                frames.append(data[at : at + size])
                at += size
        yield what, number, frames


def play(world: World, data: bytes) -> None:
    """Tell a world a story, and let it come to an end."""
    for what, number, frames in read(data):
        match what:
            case 0 | 1:
                world.hear(number, frames)
            case 2:
                world.pass_time(_SPANS_US[number % len(_SPANS_US)])
            case _:
                world.act(number)
    for _ in range(3):
        world.pass_time(600_000)
