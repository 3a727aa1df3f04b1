"""A great many frames at a core: those of a real conversation, mutated, and random ones.

After each the core has not raised, and its state makes sense; in the end it has not grown, and
those who keep to the protocol are served as before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec

from mql.wire.messages import PROTOCOL
from tests.fuzz.conversation import conversation
from tests.fuzz.worlds import AgentWorld, ClientWorld, Frames, JobWorld

WORLDS = {"agent": AgentWorld, "job": JobWorld, "client": ClientWorld}
MOST_GROWTH = 256 << 20
"""So many bytes a core may take more after all frames than after the first tenth of them."""

_TURN, _OPENING = 80, 30
"""Of so many frames the first are a conversation's beginning, unchanged."""

_ODD: tuple[object, ...] = (
    *(0, 1, -1, 255, 2**31, 2**32 - 1, 2**53, 2**63 - 1, -(2**63), 2**64 - 1),
    *(None, True, 0.5, float("nan"), float("inf"), 1e308),
    *("", "a", "requests", "select * from requests", "\0", "é" * 50, "x" * 70_000),
    *(b"", b"\0\0\0\0", b"\xff" * 8, [], {}, [[]], {"is": "hello"}, [1] * 3_000),
)


@dataclass(frozen=True, slots=True)
class Mutator:
    """Changes frames, each time in one of some ways."""

    random: Random
    known: Sequence[Frames]

    def mutate(self, frames: Frames) -> Frames:
        """Frames that are like some others, or not at all."""
        changed, random = list(frames), self.random
        place = random.randrange(len(changed)) if random.random() < 0.3 else 0
        match random.randrange(10):
            case 0:
                changed[place] = self._flip(changed[place])
            case 1:
                changed[place] = changed[place][: random.randrange(len(changed[place]) + 1)]
            case 2:
                other = random.choice(random.choice(self.known))
                changed[place] = changed[place][: random.randrange(len(changed[place]) + 1)]
                changed[place] += other[random.randrange(len(other) + 1) :]
            case 3:
                changed = [
                    random.randbytes(random.randrange(60)) for _ in range(random.randrange(4))
                ]
            case 4:
                changed[0] = bytes([random.randrange(256)]) + changed[0][1:]
            case 5:
                changed = [changed[0], *random.choice(self.known)[1:]]
            case 6:
                changed *= random.randrange(1, 4)
            case _:
                changed[0] = self._edit(changed[0])
        return changed

    def _flip(self, data: bytes) -> bytes:
        flipped = bytearray(data)
        for _ in range(self.random.randrange(1, 4) if flipped else 0):
            flipped[self.random.randrange(len(flipped))] ^= 1 << self.random.randrange(8)
        return bytes(flipped)

    def _edit(self, header: bytes) -> bytes:
        """The same message with one or two of its values, however deep, replaced by odd ones."""
        try:
            message = msgspec.msgpack.decode(header[1:])
        except (msgspec.MsgspecError, ValueError):
            return header
        for _ in range(self.random.randrange(1, 3)):
            message = self._replaced(message, 0)
        return bytes([PROTOCOL]) + msgspec.msgpack.encode(message)

    def _replaced(self, value: object, depth: int) -> object:
        random = self.random
        if isinstance(value, dict) and value and (depth == 0 or random.random() < 0.7):
            key = random.choice(list(value))
            if random.random() < 0.1:
                return {k: v for k, v in value.items() if k != key}
            return value | {key: self._replaced(value[key], depth + 1)}
        if isinstance(value, list) and value and random.random() < 0.8:
            place = random.randrange(len(value))
            return [*value[:place], self._replaced(value[place], depth + 1), *value[place + 1 :]]
        if type(value) is int and random.random() < 0.4:
            return max(-(2**63), min(2**64 - 1, value + random.choice((-1, 1, -1000, 1000, 10**6))))
        return random.choice(_ODD)


def throw(name: str, count: int, seed: int) -> Iterator[int]:
    """Throw frames at a core; gives how many it were, now and then.

    Again and again a conversation begins as it was, so that what is changed meets a core at work.
    """
    random = Random(seed)  # noqa: S311 - the same each time
    steps = [step for step in conversation()[name] if step[2]]
    mutator = Mutator(random, [frames for _, _, frames in steps])
    world, place, before = WORLDS[name](), 0, 0
    for number in range(count):
        turn = number % _TURN
        place = turn if turn <= _OPENING else place + 1
        if turn > _OPENING and random.random() < 0.05:
            place = random.randrange(len(steps))
        _, peer, frames = steps[place % len(steps)]
        if turn > _OPENING and random.random() < 0.6:
            frames = mutator.mutate(frames)
            peer = peer if random.random() < 0.7 else random.randrange(16)
        world.hear(peer, frames)
        if random.random() < 0.05:
            world.act(random.randrange(256))
        if random.random() < 0.02:
            world.pass_time(random.choice((1_000, 10_000, 100_000, 1_100_000)))
            world.sent.clear()
        if number == count // 10:
            before = resident_bytes()
        if number % 10_000 == 9_999:
            yield number + 1
    assert resident_bytes() - before < MOST_GROWTH
    yield count


def run(count: int, seed: int) -> None:
    """Throw so many frames at agent and source job, and say how it goes."""
    for name in ("agent", "job"):
        began = time.monotonic()
        for thrown in throw(name, count, seed):
            if thrown % 100_000 == 0 or thrown == count:
                spent = time.monotonic() - began
                size = resident_bytes() >> 20
                print(f"{name}: {thrown:,} frames, {spent:,.0f} s, {size:,} MiB", flush=True)  # noqa: T201


def resident_bytes() -> int:
    """The memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
