"""What may reach C code that walks through events, and what of an event's own code may come out."""

from __future__ import annotations

import asyncio
import codecs
import dataclasses
import datetime as dt
import decimal
import enum
import gc
import json
import signal
import sys
import threading
import time
import uuid
from collections import ChainMap, Counter, OrderedDict, UserDict
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType, MappingProxyType, SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import dateutil.tz
import msgspec
import numpy as np
import pandas as pd
import pytest
import pytz

import mql
from mql.values import plain_json as plain
from mql.values.json_coercion import normalize
from mql.values.json_values import write_json
from publish_agent.capture import encode as encoding
from publish_agent.capture.encode import MAX_DEPTH, MAX_VALUES, encode, encoder
from publish_agent.capture.event_buffer import Status
from publish_agent.capture.native import binding
from publish_agent.capture.redaction import Redaction, redaction
from publish_agent.settings import Settings
from tests.publish_agent.models import EarlyModel, Model, OldModel, Space
from tests.publish_agent.support import ALL, Bench


@pytest.fixture(params=[True, False], ids=["compiled", "in Python"])
def write(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[object], bytes]:
    """What encodes events, compiled or not."""
    assert plain.library() is not None, "the build did not compile mql/values/plain.c"
    if request.param:
        return encode
    monkeypatch.setattr(encoding, "_write_plain", lambda _: b"")
    return encoding._write_oddly


class Color(enum.Enum):
    RED = "red"
    NONE = None


class Level(enum.IntEnum):
    HIGH = 3


class Word(enum.StrEnum):
    YES = "yes"


@dataclasses.dataclass
class Data:
    a: int
    b: object = None
    kind: ClassVar[int] = 5


@dataclasses.dataclass(slots=True)
class Slots:
    a: int


class Attrs:
    """As attrs makes them."""

    __attrs_attrs__ = (SimpleNamespace(name="a"), SimpleNamespace(name="_b"))

    def __init__(self, a: int) -> None:
        self.a, self._b = a, 2


class Struct(msgspec.Struct, tag=True, omit_defaults=True, rename="camel"):
    first_one: int
    second_one: list[int] = []
    third_one: int = 3


class Array(msgspec.Struct, array_like=True, tag="x"):
    a: int


class Point(NamedTuple):
    x: int
    y: object


PYTZ = pytz.timezone("Europe/Berlin")
BERLIN = dateutil.tz.gettz("Europe/Berlin")
TIME = dt.datetime(2024, 7, 1, 12, 0, 0, 500)  # noqa: DTZ001 - without one

TEXTS: dict[str, tuple[object, str]] = {
    "texts": ('x"\\\n\x00é한\U0001f600', '"x\\"\\\\\\n\\u0000é한\U0001f600"'),
    "a lone surrogate": ("x\ud800y", '"x\ufffdy"'),
    "a pair of surrogates": ("\ud83d\ude00", '"\U0001f600"'),
    "integers": ([0, -1, 2**63 - 1, -(2**63)], f"[0,-1,{2**63 - 1},{-(2**63)}]"),
    "unsigned integers": ([2**63, 2**64 - 1], f"[{2**63},{2**64 - 1}]"),
    "long integers": ([2**64, -(2**63) - 1, 10**400], f"[{2**64},{-(2**63) - 1},null]"),
    "numbers": ([1.5, 1e16, 1e-7, 0.1], "[1.5,1e16,1e-7,0.1]"),
    "no numbers": ([float("nan"), float("inf")], "[null,null]"),
    "words": ([None, True, False], "[null,true,false]"),
    "a tuple": ((1, (2,)), "[1,[2]]"),
    "a named tuple": (Point(1, [2]), "[1,[2]]"),
    "a set": ({5}, "[5]"),
    "a frozenset": (frozenset(), "[]"),
    "a key with half a pair": ({"\ud800": 5}, '{"\ufffd":5}'),
    "keys": ({1: 1, 1.5: 2, None: 3, False: 4}, '{"1":1,"1.5":2,"None":3,"False":4}'),
    "keys that are tuples": ({(1, 2): 1}, '{"(1, 2)":1}'),
    "keys that are days": ({dt.date(2024, 1, 2): 1}, '{"2024-01-02":1}'),
    "keys that are enums": ({Color.RED: 2, Level.HIGH: 3}, '{"red":2,"3":3}'),
    "a time": (TIME, '"2024-07-01T12:00:00.000500"'),
    "a time in UTC": (TIME.replace(tzinfo=dt.UTC), '"2024-07-01T12:00:00.000500Z"'),
    "a time of dateutil": (TIME.replace(tzinfo=BERLIN), '"2024-07-01T12:00:00.000500+02:00"'),
    "a time of pytz": (PYTZ.localize(TIME), '"2024-07-01T12:00:00.000500+02:00"'),
    "a day": (dt.date(2024, 1, 2), '"2024-01-02"'),
    "a span": (dt.timedelta(days=1, seconds=2), '"P1DT2S"'),
    "a Decimal": (decimal.Decimal("1.50"), '"1.50"'),
    "a UUID": (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
    "bytes": ([b"x", bytearray(b"y"), memoryview(b"z")], '["eA==","eQ==","eg=="]'),
    "enums": ([Color.RED, Color.NONE, Level.HIGH, Word.YES], '["red",null,3,"yes"]'),
    "a dataclass": (Data(1, [Data(2)]), '{"a":1,"b":[{"a":2,"b":null}]}'),
    "a model": (
        Model({"id": 1, "note": 2, "pin": 3, "cached": 4}, {"more": Space(a=1)}),
        '{"id":1,"more":{"a":1}}',
    ),
    "a model without further values": (Model({"id": 1}), '{"id":1}'),
    "an early model": (EarlyModel({"id": 1, "note": 2}), '{"id":1}'),
    "an old model": (OldModel(id=1, note=2, more=[OldModel()]), '{"id":1,"more":[{}]}'),
    "a namespace": (SimpleNamespace(a=1, _b=Space(c=2)), '{"a":1,"_b":{"c":2}}'),
    "a dataclass with slots": (Slots(1), '{"a":1}'),
    "an attrs class": (Attrs(1), '{"a":1}'),
    "a struct": (Struct(1), '{"type":"Struct","firstOne":1}'),
    "a struct that is full": (
        Struct(1, [2], 4), '{"type":"Struct","firstOne":1,"secondOne":[2],"thirdOne":4}',
    ),
    "a struct like a list": (Array(1), '["x",1]'),
    "JSON text": (msgspec.Raw(b' {"a": [1.0, "\\u0041"]}'), '{"a":[1.0,"A"]}'),
    "kinds of dict": ([OrderedDict(a=1), Counter("x")], '[{"a":1},{"x":1}]'),
    "mappings": (MappingProxyType({"a": 1}), '"{\'a\': 1}"'),
    "numpy numbers": ([np.int8(1), np.float32(0.5), np.longdouble(1.5)], "[1,0.5,1.5]"),
    "other scalars of numpy": ([np.bool_(True), np.float64("nan")], "[true,null]"),
    "numpy arrays": (np.array([[1, 2]]), "[[1,2]]"),
    "pandas": ([pd.Timestamp("2024-01-01"), pd.NaT], '["2024-01-01 00:00:00","NaT"]'),
    "nothing known": (len, '"<built-in function len>"'),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_a_value_is_the_text_that_it_always_was(
    write: Callable[[object], bytes], name: str
) -> None:
    value, text = TEXTS[name]
    assert write({"v": value}).decode() == f'{{"v":{text}}}'
    assert write_json({"v": value}) == f'{{"v":{text}}}'
    assert write({"v": [value, object]}).decode().startswith(f'{{"v":[{text},')


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_plain_is_what_msgspec_writes(name: str) -> None:
    value = TEXTS[name][0]
    offered: list[object] = []
    text = plain.writer(lambda value: offered.append(value) or b"")(value)
    assert offered or text == msgspec.json.encode(value)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({}, "{}"),
        (Data(1), '{"a":1,"b":null}'),
        (Struct(1), '{"type":"Struct","firstOne":1}'),
        (OrderedDict(a=1), '{"a":1}'),
        (MappingProxyType({"a": (1,)}), '{"a":[1]}'),
        (ChainMap({"a": 1}, {"b": 2}), '{"b":2,"a":1}'),
        (UserDict(a=1), '{"a":1}'),
        (msgspec.Raw(b'{"a": 1}'), '{"a":1}'),
    ],
)
def test_an_event_is_whatever_has_fields(
    write: Callable[[object], bytes], event: object, text: str
) -> None:
    assert write(event).decode() == text


@pytest.mark.parametrize(
    "event", [None, 1, "x", [], (), [1], b"{}", object(), Color.RED, Array(1), np.zeros(3),
              msgspec.Raw(b"[1]"), msgspec.Raw(b'{"a":1},{'), msgspec.Raw(b"["), {1}, Data],
)  # fmt: skip
def test_what_has_none_is_no_event(write: Callable[[object], bytes], event: object) -> None:
    with pytest.raises((TypeError, ValueError, msgspec.DecodeError)):
        write(event)


# Nothing runs while msgspec walks


def test_no_code_runs_while_what_is_plain_is_written() -> None:
    """With a collector that looks at each thing that is made, and so would call somebody."""
    event = {"t": ["é" * 50, "x", f"{1}한"], "n": [1, 2**63, 1.5, None, True], "l": ([[{}]],)}
    events = [event | {f"ä{n}": f"ö{n}"} for n in range(100)]  # not known, and without UTF-8 yet
    collected = []
    gc.callbacks.append(lambda *_: collected.append(1))
    before = gc.get_threshold()
    try:
        gc.set_threshold(1, 1, 1)
        del collected[:]
        texts = [*map(encode, events)]
        number = len(collected)
    finally:
        gc.set_threshold(*before)
        gc.callbacks.pop()
    assert len(texts) == 100
    assert number < 10  # before the first and after the last; at each text it would be 200


def is_plain(value: object) -> bool:
    return plain.writer(lambda _: b"odd")(value) != b"odd"


def test_what_could_run_code_is_not_written_by_msgspec() -> None:
    class Text(str):
        __slots__ = ()

    odd = [Text("x"), Level.HIGH, True + 2**64, 10**4_000, "\ud800", OrderedDict(), TIME, b"x",
           {1: 1}, {Text("x"): 1}, {"\ud800": 1}, {1, 2}, Point(1, 2), Data(1), np.float64(1),
           msgspec.Raw(b"1"), decimal.Decimal(1), object()]  # fmt: skip
    for value in odd:
        for held in (value, [value], {"a": value}, (1, value), [{"a": (value,)}]):
            assert not is_plain(held), value
    assert is_plain([2**64 - 1, -(2**63), {"é": "한"}, (), {}, 1.5, None, False])


def test_who_replaces_what_is_done_about_surrogates_has_nothing_written_in_a_walk() -> None:
    event: dict[str, object] = {"a": [["x"] * 20, "half \ud800 of one"], "b": "x"}

    def mend(error: UnicodeError) -> tuple[str, int]:
        event.clear()
        assert isinstance(error, UnicodeEncodeError)
        return "?", error.end

    codecs.register_error("strict", mend)
    try:
        assert json.loads(encode(event))
        assert not is_plain("é")
        assert is_plain("e")
    finally:
        codecs.register_error("strict", codecs.strict_errors)
    assert is_plain("é")


def test_a_signal_cannot_strike_while_a_long_integer_is_written() -> None:
    before = signal.signal(signal.SIGALRM, lambda *_: event["a"].clear())
    event: dict[str, Any] = {"a": []}
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for _ in range(300):
            event["a"] = [10**300 + n for n in range(50)]
            assert json.loads(encode(event)).keys() == {"a"}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# Limits


def nested(levels: int, value: object = 1) -> dict[str, object]:
    made: object = value
    for _ in range(levels - 1):
        made = [made]
    return {"a": made}


@pytest.mark.parametrize("inner", [1, object], ids=["plain", "odd"])
@pytest.mark.parametrize("levels", [31, 32, 33, 64, 65, 97, MAX_DEPTH - 1, MAX_DEPTH])
def test_nesting_is_read_up_to_a_limit(
    write: Callable[[object], bytes], levels: int, inner: object
) -> None:
    assert write(nested(levels, inner)).count(b"[") == levels - 1
    hiding = encoder(redaction(["a"]))
    assert hiding({"k": nested(levels - 1, inner)}) == b'{"k":{}}'


@pytest.mark.parametrize("inner", [1, object], ids=["plain", "odd"])
@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 5_000, 100_000])
def test_what_is_nested_deeper_is_refused_whatever_the_recursion_limit(
    write: Callable[[object], bytes], levels: int, inner: object
) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        with pytest.raises(ValueError, match="nested deeper"):
            write(nested(levels, inner))
    finally:
        sys.setrecursionlimit(limit)


def rings() -> Iterator[object]:
    ring: dict[str, Any] = {"x": 1}
    ring["l"] = [ring, ring]
    yield ring
    yield {"l": (ring,)}
    shared: list[object] = [1]
    for _ in range(60):
        shared = [shared, shared]
    yield {"a": shared}
    yield {"a": [object, shared]}
    yield {"a": np.zeros(MAX_VALUES + 1)}
    yield {"a": [["x" * 1_000_000] * 100]}
    yield {"a": ["x" * (plain.MAX_CHARACTERS + 1)]}


@pytest.mark.parametrize("stack", [32_768, 65_536])
def test_rings_and_what_is_larger_than_it_looks_are_refused_on_any_stack(stack: int) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    before = threading.stack_size(stack)
    said: list[object] = []

    def read() -> None:
        for hidden in (Redaction(), redaction(["password"])):
            for event in rings():
                try:
                    said.append(encoder(hidden)(event))
                except ValueError as error:
                    said.append(error)
            said.append(encoder(hidden)(nested(MAX_DEPTH)))

    thread = threading.Thread(target=read)
    try:
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
        sys.setrecursionlimit(limit)
    assert [type(each) for each in said] == ([ValueError] * 7 + [bytes]) * 2


class Endless(dict[str, object]):
    """A dict that never comes to an end, for those who ask it for its keys."""

    def keys(self) -> Any:
        return iter(lambda: "x", 0)

    def __iter__(self) -> Iterator[str]:
        return self.keys()  # type: ignore[no-any-return]

    def __getitem__(self, key: object) -> object:
        return 1


@pytest.mark.timeout(20)
def test_of_a_dict_with_methods_of_its_own_what_it_holds_is_read() -> None:
    assert encode(Endless(a=1)) == b'{"a":1}'
    assert encode({"b": [Endless(a=1)]}) == b'{"b":[{"a":1}]}'
    assert write_json(Endless(a=1)) == '{"a":1}'


@pytest.mark.parametrize(
    "value",
    [
        bytes(200_000_000),
        bytearray(200_000_000),
        memoryview(bytes(200_000_000)),
        "é" * 100_000_000,
        type("Text", (str,), {})("é" * 100_000_000),
        {"é" * 100_000_000: 1},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_too_long_is_refused_by_its_length(value: object) -> None:
    for event in ({"a": value}, {"a": value, "odd": object()}):
        began = time.thread_time()
        with pytest.raises(ValueError, match="too long"):
            encode(event)
        assert time.thread_time() - began < 0.02, "to look through it takes longer"


def test_a_dict_that_holds_itself_is_no_event_of_mql_run_under_any_recursion_limit() -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    ring: dict[str, Any] = {"a": 1}
    ring["ring"] = ring
    try:
        result = mql.run("select a from s", {"s": [{"a": 1}, ring, {"a": 2}]})
        assert result.rows() == [{"a": 1}, {"a": 2}]
    finally:
        sys.setrecursionlimit(limit)


def test_the_recursion_limit_of_the_host_is_left_alone() -> None:
    seen = []

    class Looks:
        def __str__(self) -> str:
            seen.append(sys.getrecursionlimit())
            return "x"

    write_json([Looks(), 10**30])
    normalize(Looks())
    assert seen == [sys.getrecursionlimit()] * 2


# What an event's own code raises


class Mine(BaseException):
    """No Exception."""


def cancelled() -> object:
    """What is raised in C, of a future."""
    loop = asyncio.new_event_loop()
    future = loop.create_future()
    future.cancel()
    loop.close()
    return future.result()


def raises(error: Callable[[], BaseException]) -> object:
    raise error()


RAISED: list[Callable[[], object]] = [
    partial(sys.exit, 1),
    cancelled,
    *(
        partial(raises, error)
        for error in (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit, Mine,
                      MemoryError, RecursionError, lambda: BaseExceptionGroup("x", [Mine()]))
    ),
]  # fmt: skip
QUERIES = (
    [ALL],
    [f"{ALL} where a == 'x'"],
    [f"{ALL} where a == 'x' and b > 3 or not c == 1"],
    ["select count(*), a from s window 1 group by a"],
    [f"{ALL} where e['l'][*]['a'] == 'x'", f"{ALL} where m ==~ /x.*y/"],
)


class Raises:
    """Raises in whatever is done with it."""

    def __init__(self, deed: Callable[[], object]) -> None:
        self.deed = deed

    def __str__(self) -> str:
        return str(self.deed())

    __repr__ = __str__

    def __hash__(self) -> int:
        return hash("a")

    def __eq__(self, other: object) -> bool:
        self.deed()
        return False


@pytest.fixture(params=[True, False], ids=["compiled", "in Python"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(binding, "library", lambda: None)


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("queries", QUERIES)
@pytest.mark.parametrize("hides", [False, True])
def test_nothing_that_an_event_raises_passes_and_each_is_counted(
    queries: list[str], *, hides: bool
) -> None:
    bench = Bench(Settings(service="s", host="h", redact=("password",) if hides else ()))
    bench.publish({"a": 1})
    for number, text in enumerate(queries, 1):
        bench.subscribe(number, text, states="count(" in text)
    bench.statuses.clear()
    for deed in RAISED:
        odd = Raises(deed)
        zone = type("Zone", (dt.tzinfo,), {"utcoffset": lambda *_, deed=deed: deed()})()
        data = dataclasses.make_dataclass(
            "D", [], namespace={"a": property(lambda _, deed=deed: deed())}
        )()
        bench.publish({"a": odd}, {odd: 1}, {"l": [{odd: 1}]}, {"a": TIME.replace(tzinfo=zone)})
        bench.publish({"a": "x", "b": odd}, odd, {"a": {"b": (data, odd)}}, {"m": odd, "c": odd})
    bench.settle()
    assert bench.statuses.total() == 8 * len(RAISED)
    for number in range(1, len(queries) + 1):
        assert bench.got(number).total.seen == bench.statuses.total()


def test_nothing_passes_out_of_a_look_at_an_event() -> None:
    bench = Bench()
    for deed in RAISED:
        bench.tick(2_000_000)  # the next look begins
        assert bench.streams["s"].publish({"a": Raises(deed)}) is Status.SKIPPED


def test_no_stack_left_is_no_error_of_the_service() -> None:
    bench = Bench()
    bench.subscribe(1, ALL)
    statuses: Counter[Status] = Counter()

    def fall(odd: object) -> None:
        statuses[bench.streams["s"].publish({"a": odd})] += 1
        fall(odd)

    for odd in (1, object(), Raises(lambda: None)):
        with pytest.raises(RecursionError) as raised:
            fall(odd)
        assert raised.traceback[-1].name == "fall"
    assert statuses[Status.DROPPED_UNREADABLE]
    assert statuses[Status.ACCEPTED]


# What a signal's handler raises


class TooLongError(Exception):
    """As of a task that has used up its time."""


def exits(*_: object) -> None:
    sys.exit(3)


def times_out(_: int, __: object) -> None:
    raise TooLongError


def forgetful(number: int, frame: FrameType | None) -> None:
    del frame
    raise RuntimeError(number)


def rebinding(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        frame = frame.f_back
    raise RuntimeError(number)


class Called:
    """A handler that is an object, as some are."""

    def __call__(self, _number: int, frame: FrameType | None) -> None:
        del frame
        raise RuntimeError

    def method(self, _number: int, frame: FrameType | None) -> None:
        del frame
        raise RuntimeError


HANDLERS = {
    "forgets its frame": (forgetful, RuntimeError),
    "looks for the outermost frame": (rebinding, RuntimeError),
    "an object": (Called(), RuntimeError),
    "a method": (Called().method, RuntimeError),
    "a part of a function": (partial(forgetful), RuntimeError),
    "Ctrl-C": (signal.default_int_handler, KeyboardInterrupt),
    "an exit": (exits, SystemExit),
    "an error": (times_out, TooLongError),
    "a lambda": (lambda *_: exits(), SystemExit),
    "a partial": (partial(lambda _, __, ___: exits(), 1), SystemExit),
}


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("name", HANDLERS)
@pytest.mark.parametrize("queries", QUERIES[:4])
def test_what_a_signals_handler_raises_in_the_middle_of_an_events_code_passes(
    name: str, queries: list[str]
) -> None:
    handler, error = HANDLERS[name]
    bench = Bench()
    for number, text in enumerate(queries, 1):
        bench.subscribe(number, text, states="count(" in text)
    odd = Raises(lambda: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, handler)
    try:
        for event in ({odd: 1}, {"a": odd}, odd):
            with pytest.raises(error):
                bench.streams["s"].publish(event)
    finally:
        signal.signal(signal.SIGINT, before)
