"""What `publish` does, by compiled code: `publish.c` and `copy.c`, loaded if they were built.

A gate is a list of looks at an event, one for each group of subscriptions (`screen.py`). It lets an
event through if one of the looks does. Whether the compiled code is there changes what `publish`
costs, never what becomes of an event. It is used only where it agrees with what is written here
(`mql.host.compiled`).
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, partial
from pathlib import Path
from typing import Final

from mql.host.compiled import agrees, load
from mql.host.interruption import is_interruption
from mql.values.kind import Kind as ValueKind
from publish_agent.capture.event_buffer import Intake, Status
from publish_agent.capture.event_target import EventTarget

LIBRARY = Path(__file__).with_name("_compiled.so")
"""Where the build puts what it has compiled."""

MAX_FIELDS = 8
"""Properties of an event that are copied."""
EPOCHS = 64
"""Spans of time by which it is known who is still publishing."""
PATTERN = 64
"""Events of which a pattern says whether they are marked with their time."""
MARKS_AT_ONCE = 16
"""Marks that are granted at once."""
MARK_BYTES = 16
"""A row, and when it was published (clock, ns): eight bytes each."""
KINDS, VALUES, ENDS = "B", "q", "i"
"""The formats of a column's arrays: of each row its kind, its value, and where its text ends."""

_COUNTS: Final = "Q"
"""The format of the numbers of calls that are under way."""

_PARTS = 5
"""What there is of each column: kinds, values, offsets, text, and which kinds there are."""

_MARKS_OF_A_KEY = 8
_LEAST_MARKS, _MOST_MARKS = 512, 1 << 17
"""Sixteen kilobytes stay in a core's first cache, beside an event."""

Steps = tuple[str | int, ...]
"""The way to a value, from an event or from an element of a list."""

Written = tuple[bytes, bytes, bytes, bytes, int]
"""A column's kinds, values, offsets and text (`mql.events.cells`; the texts of keys are numbered),
and which kinds there are."""


EXACT_CHARACTERS_MAX = 15
"""The number that a text of no more characters is compares as the double that is nearest to it."""


class Kind(IntEnum):
    """How a look decides about the value at its path; null never passes but for a `TEST`."""

    KEYS = 0
    """It is in the dict `first`, of whose keys the `Marks` in `second` tell."""
    ANY_KEYS = 1
    """It is a list, with an element in which what is at `other` is in such a dict."""
    BOUND = 2
    """It is a number in bounds: `first` is the threshold of doubles, `second` that of integers."""
    KEYED_BOUND = 3
    """It is in the dicts `first` and `second`, which hold such bounds of the number at `other`."""
    TEXTS = 4
    """It is a text that holds one of each tuple of texts (as UTF-8), one after the other."""
    SEARCH = 5
    """It is a text in which a function finds something."""
    TEST = 6
    """A function says so of the event."""
    READ_BOUND = 7
    """It is a number in bounds, or a text that may be one of JSON."""


class Marks:
    """A bit for each hash that a key of an index has: few of them are looked up in vain."""

    def __init__(self, keys: Collection[object]) -> None:
        wanted = _MARKS_OF_A_KEY * len(keys)
        self.bits = bytearray(min(max(1 << wanted.bit_length(), _LEAST_MARKS), _MOST_MARKS) // 8)
        for key in keys:
            self.add(key)

    def add(self, key: object) -> None:
        """Mark a key, before it is in the index."""
        bit = hash(key) & (len(self.bits) * 8 - 1)
        self.bits[bit >> 3] |= 1 << (bit & 7)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at an event. `flag`: keys are texts, or a bound is a least one."""

    kind: Kind
    path: Steps = ()
    first: object = None
    second: object = None
    other: Steps = ()
    flag: bool = False

    def __str__(self) -> str:
        found = self.kind.name.lower().replace("_", " ")
        ways = [".".join(map(str, way)) for way in (self.path, self.other) if way]
        return f"{found} of {', '.join(ways)}" if ways else found


_PUBLISH = {
    "READS_OBJECTS": 1,
    **{kind.name: int(kind) for kind in Kind},
    "KINDS": len(Kind),
    "EXACT_CHARACTERS_MAX": EXACT_CHARACTERS_MAX,
    "GATE_ITEMS": 3,
    "LOOK_ITEMS": 6,
    "SAMPLER_ITEMS": 5,
    "BAR_ITEMS": 2,
    "EPOCHS": EPOCHS,
    "COUNT_BYTES": struct.calcsize(_COUNTS),
}
_COPY = {
    "MAX_FIELDS": MAX_FIELDS,
    "PATTERN": PATTERN,
    "MARKS_AT_ONCE": MARKS_AT_ONCE,
    "COPIER_ITEMS": 11,
    "PARTS": _PARTS,
    "MARK_BYTES": MARK_BYTES,
    "MARK_CLOCK_AT": MARK_BYTES // 2,
    "KIND_BYTES": struct.calcsize(KINDS),
    "VALUE_BYTES": struct.calcsize(VALUES),
    "END_BYTES": struct.calcsize(ENDS),
    "NOTHING": ValueKind.NULL,
    "TRUTH": ValueKind.BOOL,
    "INTEGER": ValueKind.INT,
    "DOUBLE": ValueKind.DOUBLE,
    "TEXT": ValueKind.STRING,
}
CONSTANTS = {"constants_of_publish": _PUBLISH, "constants_of_copy": _COPY}
"""What the compiled code has to agree with, by table."""


@cache
def library() -> ctypes.PyDLL | None:
    """The compiled code, or None where it was not built, or cannot be used."""
    loaded = load(ctypes.PyDLL, LIBRARY)
    if loaded is None:
        return None
    if not all(agrees(loaded, table, constants) for table, constants in CONSTANTS.items()):
        return None
    makers = (
        f"make_{kind}"
        for kind in ("gate", "columns", "copier", "bars", "sampler", "publish", "giver")
    )
    for name in (*makers, "take_columns", "skipped", "under_way"):
        function = getattr(loaded, name)
        function.argtypes, function.restype = (ctypes.py_object,), ctypes.py_object
    loaded.begin_epoch.argtypes, loaded.begin_epoch.restype = (ctypes.py_object,), None
    loaded.exchange.argtypes, loaded.exchange.restype = (ctypes.py_object,) * 3, None
    loaded.set_raised.argtypes, loaded.set_raised.restype = (ctypes.py_object,) * 2, None
    loaded.set_raised(is_interruption, Status.DROPPED_UNREADABLE)
    return loaded


@dataclass(frozen=True, slots=True)
class Publisher:
    """A `publish` that counts events, and what lets it hand them to something (None: count)."""

    publish: EventTarget
    exchange: Callable[[EventTarget | None, bool], None]
    """Whether it is under way meanwhile says the truth."""
    skipped: Callable[[], int]
    """How many it has counted so far."""
    begin_epoch: Callable[[], None]
    """Tells those that begin from now on from those before; the last `EPOCHS` are told apart."""
    under_way: Callable[[], Sequence[int]]
    """How many of each epoch hand over an event right now, newest first; empty if none does."""


def publisher(idle: Status) -> Publisher | None:
    """A `publish` that gives this status for what it counts."""
    compiled = library()
    if compiled is None:
        return None
    publish = compiled.make_publish(idle)
    return Publisher(
        publish,
        partial(compiled.exchange, publish),
        partial(compiled.skipped, publish),
        partial(compiled.begin_epoch, publish),
        lambda: memoryview(compiled.under_way(publish)).cast(_COUNTS),
    )


def constant_target(status: Status) -> EventTarget | None:
    """A target that returns the same status for every event."""
    compiled = library()
    if compiled is None:
        return None
    made: EventTarget = compiled.make_giver(status)
    return made


def gate(looks: Sequence[Look], intake: Intake, keep: EventTarget) -> EventTarget | None:
    """What hands on the events that one of the looks lets through, and counts the others."""
    compiled = library()
    if compiled is None or (keep == intake.keep and all(look.kind is Kind.TEST for look in looks)):
        return None  # Python tests as soon as it is called to do so
    program = tuple(
        (int(look.kind), look.flag, look.path, look.other, look.first, look.second)
        for look in looks
    )
    made: EventTarget = compiled.make_gate((program, intake.rejected.ticks, keep))
    return made


def bars(limits: tuple[tuple[Steps, float], ...]) -> Callable[[object], object] | None:
    """What tells whether an event has a number beyond one of some limits. Never raises."""
    compiled = library()
    if compiled is None:
        return None
    test: Callable[[object], object] = compiled.make_bars(limits)
    return test


def sampler(intake: Intake) -> EventTarget | None:
    """What keeps those events that the intake's sampler takes, and counts the others."""
    compiled, dice = library(), intake.sampler
    if compiled is None or dice is None:
        return None
    keep, keep_large = partial(intake.keep_one_of, dice.weights), partial(intake.keep_large, dice)
    test = None if dice.large is None else dice.large.test
    parts = dice.throws, intake.sampled.ticks, keep, test, keep_large
    made: EventTarget = compiled.make_sampler(parts)
    return made


def columns(keys: tuple[bool, ...]) -> object | None:
    """Arrays for columns, of which some are of keys, for `copier` and `take_columns`."""
    compiled = library()
    return None if compiled is None else compiled.make_columns(keys)


def take_columns(arrays: object) -> tuple[int, bytes, tuple[Written, ...]]:
    """All rows: how many, their marks (int64 row, ns), the columns. Raises MemoryError."""
    compiled = library()
    assert compiled is not None
    rows, marks, *parts = compiled.take_columns(arrays)
    return rows, marks, tuple(zip(*[iter(parts)] * _PARTS, strict=True))


def copier(to: tuple[object, ...], intake: Intake) -> EventTarget | None:
    """What copies values; events with others are kept as text.

    `to` are the paths (`Steps`), the characters of the longest text, the limit of rows, whether all
    that comes behind such an event is text, until columns are taken, the pattern (a bytearray of
    64, which says of each event whether it is marked), what gives the time of a mark, and grants 15
    more, for the number of rows and bytes so far (None: there is no room), the clock, what counts
    where there is no room, and arrays.
    """
    compiled = library()
    if compiled is None:
        return None
    made: EventTarget = compiled.make_copier((*to, Status.ACCEPTED, intake.keep))
    return made
