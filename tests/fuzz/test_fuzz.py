"""What fuzzers begin with and have found, played without them; and frames, a great many of them.

`make fuzz` and `make fuzz-frames` are the long forms.
"""

from __future__ import annotations

from random import Random

import pytest

from tests.fuzz.frames import WORLDS, throw
from tests.fuzz.seeds import CORPUS, seeds
from tests.fuzz.targets import TARGETS

MUTATIONS = {"parser": 150, "wire": 3_000, "payload": 3_000, "events": 100}
"""How many of each; the stories of the cores are changed by `throw`."""

FRAMES = {"agent": 20_000, "job": 20_000, "client": 20_000}


def files(target: str) -> list[bytes]:
    return [file.read_bytes() for file in sorted((CORPUS / target).iterdir())]


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_takes_its_corpus(target: str) -> None:
    known = files(target)
    assert set(seeds()[target]) <= set(known), "python -m tests.fuzz seeds"
    for data in known:
        TARGETS[target](data)


@pytest.mark.parametrize("target", MUTATIONS)
def test_a_target_takes_what_its_corpus_becomes_by_chance(target: str) -> None:
    random, known = Random(7), files(target)  # noqa: S311 - the same each time
    for _ in range(MUTATIONS[target]):
        data = bytearray(random.choice(known))
        for _ in range(random.randrange(1, 6)):
            place = random.randrange(len(data) + 1)
            other = random.choice(known)
            start = random.randrange(len(other) + 1)
            match random.randrange(4):
                case 0:
                    data[place : place + 1] = random.randbytes(1)
                case 1:
                    data[place : place + random.randrange(20)] = b""
                case 2:
                    data[place:place] = other[start : start + random.randrange(40)]
                case _:
                    data[place:place] = random.choice(
                        (b"(", b"'", b"\\", b"\0", b"\xff", b"-- ", b"9" * 30)
                    )
        TARGETS[target](bytes(data))


@pytest.mark.parametrize("name", WORLDS)
def test_a_core_takes_a_great_many_frames(name: str) -> None:
    assert max(throw(name, FRAMES[name], seed=3)) == FRAMES[name]
