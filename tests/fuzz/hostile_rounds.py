"""Rounds of hostile events; each is made of its seed. See `tests.fuzz.hostile`.

`--only` leaves out all kinds of values but one, and odd stacks and limits. `--planted` has msgspec
walk through events as they are, and so must be found.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import msgspec

import mql
from publish_agent.capture import encode as encoding
from publish_agent.capture.encode import encoder
from publish_agent.capture.event_buffer import Status
from publish_agent.capture.redaction import Redaction, redaction
from publish_agent.settings import Settings
from tests.fuzz.hostile_values import MAKES, Deed, raising
from tests.native.sanitized import use_those_of
from tests.native.sanitizer import LIBRARIES
from tests.publish_agent.support import Bench

EVENTS = 20
"""Events of a round."""
DEEDS = 200
"""Changes of a round by values that are read; a ring of them would do thousands."""
QUERIES = (
    "select * from s",
    "select a, e['c']['a'] from s where a == 'x' or e['l'][*] == 1",
    "select count(*), max(n), a from s window 1 group by a",
    "select * from s where a ==~ /x.*y/ and n > 3",
)
STACKS = (32_768, 65_536, 262_144, 0)
"""Sizes of the stacks of the threads that publish; 0 is the system's."""


class Shared:
    """Containers that the events of a round hold, and what is done to them while they are read."""

    def __init__(self, dice: Random) -> None:
        self.list: list[Any] = []
        self.dict: dict[Any, Any] = {}
        self._dice = dice
        self._deeds = DEEDS
        self.fill()

    def fill(self) -> None:
        """Put something into them."""
        number = self._dice.randrange(1, 60)
        self.list.extend([[n], str(n), {"n": n}] for n in range(number))
        self.dict.update({f"k{n}": [n, "x" * n] for n in range(number)})

    def deed(self) -> None:
        """Change them, if that was not done often enough."""
        self._deeds -= 1
        if self._deeds < 0:
            return
        for _ in range(self._dice.randrange(3)):
            self._dice.choice(
                [self.list.clear, self.dict.clear, self.fill, self._halve, gc.collect, self._nest]
            )()

    def _halve(self) -> None:
        del self.list[len(self.list) // 2 :]

    def _nest(self) -> None:
        self.list.append([["x"] * 9, {"n": [1.5]}])
        del self.list[40:]

    def change(self, ended: threading.Event) -> None:
        """Change them all the time, in a thread."""
        while not ended.is_set():
            self.list.clear()
            self.list.extend([[n], str(n), {"n": n}] for n in range(15))
            self.dict.clear()
            self.dict.update({f"k{n}": [n] for n in range(15)})
            ended.wait(1e-5)


def containers(dice: Random, shared: Shared, value: object) -> object:
    """An event that holds a hostile value somewhere: at the top, nested, in tuples, in dicts."""
    shared.list.insert(0, value)
    shared.dict["a"] = value
    deep: object = value
    for _ in range(dice.choice([1, 10, 33, 100, 1_000])):
        deep = {"d": deep} if dice.random() < 0.5 else [deep]
    loop: dict[str, object] = {"v": value}
    loop["loop"] = [loop, loop]
    return dice.choice(
        [
            {"items": shared.list, "a": value, "c": shared.dict, "l": [1, value], "n": 1.5},
            {"a": (value, shared.list, (shared.dict,))},
            {"c": {"a": shared.list, "b": shared.dict}, "password": value},
            {"a": "x" + "y" * 100, "n": 5, "deep": deep},
            {"loop": loop},
            {value: 1} if getattr(type(value), "__hash__", None) is str.__hash__ else {"v": value},
            shared.dict,
            value,
        ]
    )


def play(seed: int, only: str | None) -> None:
    """One round."""
    dice = Random(seed)  # noqa: S311 - repeatable
    shared = Shared(dice)
    hides = dice.random() < 0.3
    bench = Bench(Settings(service="s", host="h", redact=("password", "*secret*") if hides else ()))
    bench.job.by_arrival = False
    asked = dice.sample(QUERIES, k=dice.randrange(1, 5))
    for number, query in enumerate(asked, 1):
        bench.subscribe(number, query, states="count(" in query)
    deed = raising(dice) if dice.random() < 0.2 else shared.deed
    events = [make(dice, shared, deed, only) for _ in range(EVENTS)]
    statuses: list[Status] = []
    with changing(shared, dice.randrange(3)):
        stack = 0 if only else dice.choice(STACKS)
        threading.stack_size(stack)
        reader = threading.Thread(target=lambda: read(bench, events, statuses, dice, stack))
        reader.start()
        reader.join()
    threading.stack_size(0)
    assert len(statuses) == len(events), statuses
    bench.settle()
    for number in range(1, len(asked) + 1):
        assert bench.got(number).total.seen == len(events)


def make(dice: Random, shared: Shared, deed: Deed, only: str | None) -> object:
    """A hostile event."""
    while True:
        name = only or dice.choice(list(MAKES))
        armed = [False]

        def do(armed: list[bool] = armed) -> object:
            return deed() if armed[0] else None

        try:
            value = MAKES[name](do)
            event = containers(dice, shared, value)
        except RecursionError:
            continue
        armed[0] = True
        return event


def read(
    bench: Bench, events: list[object], statuses: list[Status], dice: Random, stack: int
) -> None:
    """All that reads events, of each; `mql.run`, which asks for more, where the stack is large."""
    publish = bench.streams["s"].publish
    rules = redaction(["password", "*secret*", "e['c']['a']"])
    with_rules, without = encoder(rules), encoder(Redaction())
    for event in events:
        statuses.append(publish(event))
        if dice.random() < 0.3:
            for encode in (with_rules, without):
                tell(encode, event)
        if dice.random() < 0.05 and stack == 0:
            from_dicts(event)


def tell(encode: Callable[[object], bytes], event: object) -> None:
    """What is encoded is an object in JSON; or else it raises, whatever the event does."""
    try:
        data = encode(event)
    except BaseException:  # noqa: BLE001 - what `publish` takes
        return
    assert type(json.loads(data)) is dict
    assert b"\n" not in data


def from_dicts(event: object) -> None:
    """The same kind of event, where `mql.run` is given it."""
    try:
        mql.run("select *, a, e['c']['a'] from s where a != 'y'", {"s": [{"a": 1}, event]}).rows()
    except (AssertionError, UnicodeError):
        raise
    except BaseException:  # noqa: BLE001 - what the value raises goes through `mql.run`
        return


@contextmanager
def changing(shared: Shared, number: int) -> Iterator[None]:
    """Threads that change the containers meanwhile."""
    ended = threading.Event()
    threads = [threading.Thread(target=shared.change, args=[ended]) for _ in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def plant() -> None:
    """What was wrong once: msgspec walks through events as they are."""
    write = msgspec.json.Encoder().encode

    def encode(event: object) -> bytes:
        data = write(event)
        if data[:1] != b"{":
            raise TypeError
        return data

    encoding.encode = encode


def main() -> None:
    """Play what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.hostile_rounds")
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--rounds", type=int, default=sys.maxsize)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=MAKES)
    parser.add_argument("--planted", action="store_true")
    options = parser.parse_args()
    if LIBRARIES in os.environ:
        use_those_of(Path(os.environ[LIBRARIES]))
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None
    sys.setswitchinterval(1e-6)
    if options.planted:
        plant()
    gc.freeze()  # so that to collect garbage all the time is soon done
    limit = sys.getrecursionlimit()
    until = monotonic() + options.seconds
    for seed in range(options.seed, options.seed + options.rounds):
        if monotonic() > until:
            break
        sys.stdout.write(f"{seed}\n")
        sys.stdout.flush()
        dice = Random(seed)  # noqa: S311 - repeatable
        gc.set_threshold(*dice.choice([(1, 1, 1), (700, 10, 10)]))
        sys.setrecursionlimit(limit if options.only else dice.choice([limit, 100_000]))
        play(seed, options.only)


if __name__ == "__main__":
    main()
