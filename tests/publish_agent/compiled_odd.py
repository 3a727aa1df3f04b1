"""Odd events through the compiled part of `publish`, of all kinds of looks.

    python -m tests.publish_agent.compiled_odd ROUNDS LIBRARY

With `PYTHONMALLOC=debug`, to use what has been freed ends this process; so does what C leaves
undefined, if LIBRARY was built with the sanitizer. Prints how many events were offered.
"""

from __future__ import annotations

import codecs
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.native.sanitized import use
from tests.publish_agent.odd import odd_events
from tests.publish_agent.support import ALL, Bench

WHERES = (
    "a == 'x'",
    "a in ('x', 'y') and b > 3",
    "e['c']['d']['e'] == 1",
    "b >= 500",
    "e['c']['d'] < 0.5",
    "e['l'][*]['k']['m'] == 'x'",
    "e['l'][*] == 'x'",
    "e['l'][-1]['k'] == 'x'",
    "m ==~ /x.*(y|zz)/",
    *(f"u ==+ 'text{i}'" for i in range(5)),
    "not (a == 'y' and m like '%x_')",
)
COUNTED = "select count(*), sum(n), max(b), a, e['c']['d'] from s window 1 group by a, e['c']['d']"
COPIED = (
    "select a, m, e['c']['d'], e['l'][-1]['k'] from s where b >= 0.5 or a == 'x'",
    "select first(b), last(m), count(*), a from s where not a == 'y' window 1 group by a",
)


LOOKS = 16
"""Looks at the keys and texts of an event after each of which it is emptied once."""


class Key:
    """Equal to no text, but looked at by whoever looks for one: then `deed` is done."""

    def __init__(self, text: str, deed: Callable[[], object]) -> None:
        self._hash = hash(text)
        self._deed = deed

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        self._deed()
        return False


def changing(
    dice: random.Random, others: Sequence[Callable[[], object]] = ()
) -> dict[object, object]:
    """An event that is taken apart while it is looked into, and lets others do what they do."""
    event: dict[object, object] = {}
    inner: dict[object, object] = {}
    elements: list[object] = []

    built = False

    def deed() -> None:
        for _ in range(dice.randrange(3) if built else 0):
            dice.choice([event.clear, inner.clear, elements.clear, boom, nothing, *others])()

    def boom() -> None:
        if dice.random() < 0.1:
            raise KeyError

    def nothing() -> None:
        inner["d"] = {"e": [dice.random()]}

    for name in dice.sample("abclumde", k=5):
        event[Key(name, deed)] = 1
        inner[Key(name, deed)] = 1
    inner |= {"d": {Key("e", deed): 1, "e": [float(dice.random())]}, "k": {Key("m", deed): 1}}
    elements += [{Key("k", deed): 1, "k": inner}, inner, {"k": {"m": str(dice.random())}}]
    texts = ["x" * dice.randrange(50), f"half a pair {chr(0xD800)}"]
    values = [inner, elements, *texts, dice.random(), None, 10**30, True]
    for name in dice.sample("abclum", k=6):
        event[name] = dice.choice(values)
    event["l"], event["c"] = elements, inner
    built = True
    return event


def emptied(number: int, *, inside: bool) -> dict[object, object]:
    """An event that lets go of all it holds at one of the looks at its keys and texts.

    So does what it holds, if it is emptied inside too.
    """
    event: dict[object, object] = {}
    looks, built = 0, False

    def deed() -> None:
        nonlocal looks
        looks += built
        if looks == number:
            for held in (*event.values(),) if inside else ():
                if isinstance(held, dict | list):
                    held.clear()
            event.clear()

    def keyed(items: dict[object, object]) -> dict[object, object]:
        return {**{Key(str(name), deed): 1 for name in items}, **items}

    def mend(error: UnicodeError) -> tuple[str, int]:
        deed()
        if isinstance(error, UnicodeEncodeError) and number % 2:
            return "?", error.end
        raise error

    texts = {name: f"{name}, half a pair {chr(0xD800)} {number}" for name in "amu"}
    elements = [keyed({"k": keyed({"m": f"{n}, {number}"})}) for n in range(2)]
    inner = keyed({"d": keyed({"e": number + 0.5})})
    event |= keyed({**texts, "c": inner, "l": elements, "b": 10**12 + number, "n": number + 0.25})
    built = True
    codecs.register_error("strict", mend)
    return event


def strict(dice: random.Random, others: Sequence[Callable[[], object]]) -> None:
    """Have what is called of a text that has no UTF-8 do what others do, and maybe mend it."""
    looked_at = False

    def mend(error: UnicodeError) -> tuple[str, int]:
        nonlocal looked_at
        if not looked_at:
            looked_at = True
            dice.choice(others)()
            looked_at = False
        if isinstance(error, UnicodeEncodeError) and dice.random() < 0.5:
            return "?", error.end
        raise error

    codecs.register_error("strict", mend)


def only_once(deed: Callable[[], object]) -> Callable[[], object]:
    """It, unless that is being done: an agent's thread never drains while it does."""
    is_done = False

    def do() -> None:
        nonlocal is_done
        if not is_done:
            is_done = True
            deed()
            is_done = False

    return do


def main(rounds: int) -> int:
    """Offer so many events that change, and some odd ones, to queries of all kinds."""
    dice = random.Random(1)  # noqa: S311 - repeatable
    asked = [[f"{ALL} where {where}"] for where in WHERES]
    offered, odd = 0, odd_events()
    for queries in [*asked, [text for some in asked for text in some], [COUNTED], [*COPIED]]:
        bench = Bench()
        bench.job.by_arrival = False  # clocks go on while an event is encoded, and it may be late
        for number, text in enumerate(queries):
            bench.subscribe(number, text, tick=False, states="count(" in text)
        bench.tick()
        bench.tick()
        assert not bench.refusals()
        assert "built-in" in repr(bench.streams["s"].publish)

        def another(bench: Bench = bench) -> None:
            bench.publish({"a": dice.choice(["", "x", "é"]), "b": 500, "n": 1.5, "c": {"d": 1}})

        for number in range(1, LOOKS + 1):
            bench.publish(emptied(number, inside=False))
            bench.publish(emptied(number, inside=True))
        others = [another, only_once(bench.tick)]
        strict(dice, others)
        bench.publish(*odd)
        for _ in range(rounds):
            bench.publish(changing(dice, others))
        codecs.register_error("strict", codecs.strict_errors)
        offered += rounds
        bench.settle()
        for number in range(len(queries)):
            seen = bench.got(number).total.seen
            assert seen == bench.statuses.total(), (queries[number], seen, bench.statuses)
    return offered


if __name__ == "__main__":
    use(publish=Path(sys.argv[2]))
    sys.stdout.write(f"{main(int(sys.argv[1]))}\n")
