"""Wrong arguments to all that is compiled: they are refused, and none ends this process.

    python -m tests.native.native_arguments FOLDER

Each argument that is right is handed over with one part after the other replaced by what it is not.
What is made all the same is used. FOLDER has the libraries. Prints how many were refused to publish
and to write with.
"""

from __future__ import annotations

import codecs
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, repeat
from pathlib import Path

import numpy as np

from mql.events import native as decoder
from mql.sources import search
from mql.values import plain_json as plain
from publish_agent.capture.event_buffer import Status
from publish_agent.capture.native import binding
from tests.native.sanitized import use_those_of

EVENTS: tuple[object, ...] = (
    *({}, {"a": "x", "b": 1.5, "c": {"d": [{"e": "x"}]}}, {"a": 1, "c": ["x"]}, {1: 2}),
    *({"a": "\ud800", "b": 2**70}, [], None, "a", {"a": None, "b": float("nan")}),
)


def others() -> list[object]:
    """What an argument may wrongly be."""
    texts: list[object] = ["", "x", b"x", bytearray(), bytearray(3), bytearray(63), bytearray(65)]
    numbers: list[object] = [None, True, -1, 0, 7, 8, 2**31, 2**63, 2**70, -(2**70), 0.5]
    tuples: list[object] = [(), (None,), ("x", "y"), ((),), (("a", 2**70),), tuple(range(6))]
    made: list[object] = [make("giver")(Status.CLOSED), publish(), publish().__self__]  # type: ignore[attr-defined]
    return [
        *texts,
        *numbers,
        *tuples,
        *made,
        (True,) * 9,
        [],
        {},
        {"x": "y"},
        iter(()),
        len,
        object(),
    ]


def make(kind: str) -> Callable[[object], object]:
    """What makes something of a kind."""
    found: Callable[[object], object] = getattr(binding.library(), f"make_{kind}")
    return found


def publish() -> object:
    return make("publish")(Status.SKIPPED)


def keep(event: object) -> Status:  # noqa: ARG001 - as an intake does
    return Status.ACCEPTED


def looks() -> Iterator[tuple[object, ...]]:
    """A right look of each kind."""
    index, marks = {"x": 1.0}, binding.Marks(["x"]).bits
    kinds = binding.Kind
    yield int(kinds.KEYS), False, ("a",), (), index, marks
    yield int(kinds.ANY_KEYS), True, ("c", "d"), ("e",), index, marks
    yield int(kinds.BOUND), True, ("b",), (), 1.0, 1
    yield int(kinds.KEYED_BOUND), False, ("a",), ("b",), index, {"x": 1}
    yield int(kinds.TEXTS), False, ("a",), (), ((b"x", b"y"), (b"z",)), None
    yield int(kinds.SEARCH), False, ("a",), (), keep, None
    yield int(kinds.TEST), False, (), (), keep, None


def ticks() -> Iterator[object]:
    return repeat(Status.SKIPPED, sys.maxsize)


def copier_parts() -> tuple[object, ...]:
    """What a copier is made of."""
    pattern, columns = bytearray(binding.PATTERN), make("columns")((False, True))

    def full() -> Status:
        return Status.DROPPED_BUFFER

    marks = (pattern, lambda rows, size: rows + size, lambda: 5, full, columns)
    return (("b",), ("c", "d", 0)), 10, 1_000, True, *marks, Status.ACCEPTED, keep


def variations(right: tuple[object, ...]) -> Iterator[tuple[object, ...]]:
    """It with one part replaced, or missing."""
    yield right
    yield right[:-1]
    yield (*right, None)
    for i in range(len(right)):
        for other in others():
            yield (*right[:i], other, *right[i + 1 :])


def attempts() -> Iterator[tuple[str, object]]:
    """What is to be made, and of what."""
    for kind in ("gate", "columns", "copier", "bars", "sampler", "giver", "publish"):
        yield from ((kind, other) for other in others())
    for look in looks():
        for varied in variations(look):
            yield "gate", ((varied,), ticks(), keep)
    gate = ((next(looks()),), ticks(), keep)
    yield from (("gate", varied) for varied in variations(gate))
    throws = chain.from_iterable(repeat(b"\0\1"))
    bar = ("a", 1), 0.5
    yield from (("bars", (varied,)) for varied in variations(bar))
    for bars in (None, make("bars")((bar,))):
        parts = throws, ticks(), keep, bars, lambda _thrown, event: keep(event)
        yield from (("sampler", varied) for varied in variations(parts))
    yield from (("copier", varied) for varied in variations(copier_parts()))
    paths: tuple[object, ...] = ("c", "d", 0, "e", 2**62)
    for varied in variations(paths):
        yield "gate", (((int(binding.Kind.BOUND), True, varied, varied, 1.0, 1),), ticks(), keep)


def offer(made: object) -> None:
    """Hand it some events, as `publish` does."""
    compiled = binding.library()
    assert compiled is not None
    handing = publish()
    compiled.exchange(handing, made, True)
    for event in EVENTS * 3:
        with suppress(TypeError, ValueError, AttributeError, SystemError):  # it cannot be called so
            handing(event)  # type: ignore[operator]
    compiled.exchange(handing, None, False)


def publishing() -> int:
    """Try all that is called to publish."""
    compiled = binding.library()
    assert compiled is not None
    refused = 0
    for kind, argument in attempts():
        try:
            made = make(kind)(argument)
        except ValueError:
            refused += 1
            continue
        if callable(made):
            offer(made)
    for other in others():
        calls = (
            compiled.take_columns,
            compiled.skipped,
            compiled.begin_epoch,
            compiled.under_way,
            lambda other: compiled.exchange(other, keep, True),
        )
        for call in calls:
            try:
                call(other)
            except ValueError:
                refused += 1
    gc.collect()
    return refused


def writing() -> int:
    """Try all that is called to write plain values."""
    compiled = plain.library()
    assert compiled is not None
    right = (plain.write, repr, codecs.strict_errors, "".isascii, False, 1_000, 1_000)
    of_bytes, of_no_type = b"".isascii, sys.exc_info
    methods = [(*right[:3], other, *right[4:]) for other in (of_bytes, of_no_type, len, [].pop)]
    refused = 0
    for held in (*others(), *variations(right), *methods):
        try:
            made = compiled.make_writer(held)
        except ValueError:
            refused += 1
            continue
        assert (made is None) == (held in methods or not was_right_to_call(held)), held
        for event in EVENTS * (0 if made is None else 3):
            with suppress(TypeError, UnicodeEncodeError):  # it cannot be called otherwise
                made(event)
    gc.collect()
    return refused


def was_right_to_call(held: object) -> bool:
    """Whether the two functions of C in it are those of a writer."""
    assert isinstance(held, tuple)
    return held[0] == plain.write and held[3] == "".isascii


def decoding() -> None:
    """Try the decoder and the search with sizes and structures that do not fit."""
    compiled = decoder.library()
    assert compiled is not None
    text = np.frombuffer(b'{"a":"x","b":{"c":1}}\n' * 4, np.uint8).copy()
    data, size = text.ctypes.data, len(text)
    ends = np.zeros(4, np.int32)
    tree = decoder._Tree([("a",), ("b", "c")])
    arrays = decoder._Arrays(4, np.zeros((2, size + 32), np.uint8))
    right = [data, size, tree.nodes, len(tree.nodes), arrays.table.ctypes.data, 2, 4]
    last = ends.ctypes.data
    assert compiled.read_columns(*right, last) == 4
    assert compiled.read_columns(*right[:6], 3, last) == 3, "no more rows than there is room for"
    assert compiled.read_columns(*right[:6], 0, last) == 0
    wrong: dict[int, tuple[object, ...]] = {
        0: (None,), 1: (-1, 0, size - 1, 2**31, 2**62), 2: (None,), 3: (0, -1, 1, 3), 4: (None,),
        5: (-1, 0, 1), 6: (-1,),
    }  # fmt: skip
    for i, values in wrong.items():
        for value in values:
            assert compiled.read_columns(*right[:i], value, *right[i + 1 :], last) == -1, (i, value)
    assert compiled.read_columns(*right, None) == -1
    for name, value in (
        *(("first_child", 0), ("first_child", -1), ("first_child", 2**31 - 1)),
        *(("children", -1), ("children", 2**31 - 1), ("column", 2), ("column", -2)),
        *(("first_column", -1), ("end_column", 3), ("key_size", -1)),
    ):
        tree = decoder._Tree([("a",), ("b", "c")])
        setattr(tree.nodes[0], name, value)
        assert compiled.read_columns(*right[:2], tree.nodes, *right[3:], last) == -1, (name, value)
    for depth, taken in ((33, 1), (34, 0), (60, 0)):
        line = np.frombuffer(b'{"a":' * depth + b"1" + b"}" * depth + b"\n", np.uint8)
        deep = decoder._Tree([("a",) * depth])
        held = decoder._Arrays(1, np.zeros((1, len(line) + 32), np.uint8))
        begun = line.ctypes.data, len(line), deep.nodes, len(deep.nodes)
        assert compiled.read_columns(*begun, held.table.ctypes.data, 1, 1, last) == taken, depth
    assert compiled.count_lines(None, 5) == compiled.count_lines(data, -1) == -1
    searching(data, size)


def searching(data: int, size: int) -> None:
    """Try the search with what does not fit."""
    compiled = search.compiled()
    assert compiled is not None
    kept, numbers = np.zeros(size, np.uint8), np.zeros(4, np.int64)

    def find(**changes: int) -> int:
        """With some parts of its arguments changed, each `structure_field`."""
        made = search.Search([(b"x",)], b"\\u00", b"x\\u00")
        found = search._Found(text=kept.ctypes.data, room=size, numbers=numbers.ctypes.data, most=4)
        count = changes.pop("clauses", 1)
        clause = made._clauses[0]
        parts = {"found": found, "clause": clause, "needle": clause.needles[0]}
        for change, value in changes.items():
            part, name = change.split("_")
            setattr({**parts, "escape": made._escape}[part], name, value)
        lines: int = compiled.find_lines(data, size, made._clauses, count, made._escape, found)
        return lines

    assert find() == 4
    needles = (("size", 0), ("size", -5), ("first", -1), ("first", 9), ("second", 1 << 30))
    for part in ("needle", "escape"):
        for name, value in needles:
            assert find(**{f"{part}_{name}": value}) == -1, (part, name, value)
    for count in (0, -1, 32, 2**40):
        assert find(clause_count=count) == -1, count
        assert find(clauses=min(count, 0)) == -1, count
    for name in ("size", "count", "room", "most"):
        assert find(**{f"found_{name}": -1}) == -1, name
    assert find(found_text=0) == find(found_numbers=0) == find(found_most=0) == -1
    offsets, slots = np.zeros(9, np.int32), np.full(8, -1, np.int32)
    for last_slot, number in ((7, 8), (7, 9), (6, 2), (7, -1), (0, 1)):
        strings = search._Strings(data, offsets.ctypes.data, slots.ctypes.data, last_slot)
        assert not compiled.fill_slots(strings, number), (last_slot, number)


if __name__ == "__main__":
    use_those_of(Path(sys.argv[1]))
    decoding()
    sys.stdout.write(f"{publishing()} {writing()}\n")
