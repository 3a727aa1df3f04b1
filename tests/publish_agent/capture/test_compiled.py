"""The compiled part of `publish`: what it lets go by, nobody wanted, whatever the event is."""

from __future__ import annotations

import codecs
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hatch_build import PUBLISH
from mql.language.format import format_condition
from publish_agent.capture.event_buffer import Intake, Room, Status
from publish_agent.capture.native import binding
from publish_agent.capture.native.binding import Kind, Look, Marks, gate
from publish_agent.screen.taker import Taker
from publish_agent.stream import Stream
from tests.native import sanitizer
from tests.oracle.drawn.events import event_bodies
from tests.publish_agent.compiled_odd import COPIED, COUNTED, WHERES
from tests.publish_agent.screen.test_where import odd_events, screen, wheres
from tests.publish_agent.support import ALL, Bench

EXAMPLES = int(os.environ.get("MQL_EXAMPLES", "100"))
SANITIZED_ROUNDS = 400 if sanitizer.LIBRARIES in os.environ else 10
"""Each takes a twentieth of a second of a processor; all of them are for `make sanitize`."""


def intake() -> Intake:
    return Intake(lambda _: (0,), lambda _: b"{}", lambda: 0, lambda: 0, Room(1 << 30), 1 << 30)


def test_the_compiled_part_is_there() -> None:
    assert binding.library() is not None, (
        "the build did not compile publish_agent/capture/native/publish.c"
    )


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(wheres().map(format_condition), min_size=1, max_size=5),
    st.lists(event_bodies() | odd_events(), min_size=1, max_size=10),
)
def test_it_lets_go_by_what_nobody_wants_and_no_more_through_than_python_does(
    wanted: list[str], events: list[object]
) -> None:
    made = screen(*wanted)
    compiled = made.taker(intake(), careful=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(binding, "library", lambda: None)
        plain = made.taker(intake(), careful=True)
    for event in events:
        passes = compiled.target(event) is Status.ACCEPTED
        if made.sort(event):
            assert passes, (wanted, event)
        if passes:
            assert plain.target(event) is Status.ACCEPTED, (wanted, event)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("ERROR in a timeout", Status.ACCEPTED),
        ("a timeout, then an ERROR", Status.SKIPPED),
        ("ERRORtimeout", Status.ACCEPTED),
        ("ERRORefused: was ERROR refused", Status.ACCEPTED),
        ("ERRERROR" * 100 + "timeout", Status.ACCEPTED),
        ("ERRO" * 100 + "timeout", Status.SKIPPED),
        ("é" * 100 + "ERROR €refused", Status.ACCEPTED),
        ("\ud800ERROR", Status.ACCEPTED),
        ("", Status.SKIPPED),
        (None, Status.SKIPPED),
        (["x"], Status.ACCEPTED),
    ],
)
def test_texts_that_a_pattern_needs_are_looked_for_in_their_order(
    text: object, status: Status
) -> None:
    target = screen("m ==~ /.*ERROR.*(timeout|refused)/").taker(intake()).target
    assert target({"m": text}) is status


@pytest.mark.parametrize("sanitized", [False, True], ids=["as built", "with sanitizers"])
def test_events_that_change_while_they_are_looked_into_break_nothing(
    *, sanitized: bool, tmp_path: Path
) -> None:
    compiled, env = binding.LIBRARY, {**os.environ, "PYTHONMALLOC": "debug"}
    if sanitized:
        compiled, env = tmp_path / binding.LIBRARY.name, {**env, **sanitizer.environment()}
        sanitizer.build(PUBLISH, compiled)
    rounds = SANITIZED_ROUNDS if sanitized else EXAMPLES * 2
    done = subprocess.run(
        [sys.executable, "-m", "tests.publish_agent.compiled_odd", str(rounds), str(compiled)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == rounds * (len(WHERES) + 3)


def test_a_text_that_goes_while_it_is_read_is_held() -> None:
    """Else its UTF-8 is written to memory that is free, and nothing frees it."""
    event: dict[str, str] = {}
    target = screen("m ==~ /.*ERROR.*(timeout|refused)/").taker(intake()).target

    def mend(error: UnicodeError) -> tuple[str, int]:
        event.clear()
        assert isinstance(error, UnicodeEncodeError)
        return "?", error.end

    codecs.register_error("strict", mend)
    try:
        before = sys.getallocatedblocks()
        for number in range(1_000):
            event["m"] = f"half a pair {chr(0xD800)} {number}"
            assert target(event) is Status.SKIPPED
            assert not event
        grown = sys.getallocatedblocks() - before
    finally:
        codecs.register_error("strict", codecs.strict_errors)
    assert grown < 500


@pytest.mark.parametrize("queries", [[f"{ALL} where {w}" for w in WHERES], [COUNTED], [*COPIED]])
def test_it_holds_on_to_nothing(queries: list[str]) -> None:
    bench = Bench()
    for number, text in enumerate(queries):
        bench.subscribe(number, text, tick=False, states="count(" in text)
    bench.tick()
    values = [object(), "a text of its own" + str(id(bench)), 1.5e300, 10**12 + 7, {"d": [7.25]}]
    before = [sys.getrefcount(value) for value in values]
    for _ in range(100):
        for value in values:
            event = {"a": value, "b": value, "c": value, "l": [{"k": value}], "m": value, "n": 1.5}
            bench.streams["s"].publish(event)
    del event, value
    bench.settle()
    bench.tick()
    assert [sys.getrefcount(value) for value in values] == before


def test_what_is_made_is_freed_without_the_cycle_collector() -> None:
    gc.disable()
    try:
        taken = intake()
        index = {"x": 1}
        stream = Stream("s")
        looks = [Look(Kind.KEYS, ("a",), index, Marks(index).bits, flag=True)]
        target = gate(looks, taken, taken.keep)
        assert target is not None
        stream.taker = Taker(target, taken.lost)
        assert stream.publish({"a": "x"}) is Status.ACCEPTED
        assert stream.publish({"a": "y"}) is Status.SKIPPED
        publish = stream.publish
        del target, taken, looks
        stream.taker = None
        assert sys.getrefcount(index) == 2
        assert publish({"a": "x"}) is Status.SKIPPED
    finally:
        gc.enable()


def test_what_an_event_raises_stays_inside_but_not_what_a_signal_does() -> None:
    class Interrupting:
        def __init__(self, deed: Callable[[], object]) -> None:
            self.deed = deed

        def __hash__(self) -> int:
            return hash("a")

        def __eq__(self, other: object) -> bool:
            self.deed()
            return False

    target = screen("a == 'x'").taker(intake()).target
    assert target({Interrupting(lambda: sys.exit(1)): 1}) is Status.ACCEPTED
    with pytest.raises(KeyboardInterrupt):
        target({Interrupting(lambda: signal.raise_signal(signal.SIGINT)): 1})


def test_threads_go_on_publishing_while_what_they_publish_to_is_exchanged() -> None:
    stream = Stream("s")
    publish = stream.publish
    takers = [screen(f"a == '{value}'").taker(intake()) for value in "xyz"]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    counts = [0] * 4
    until = monotonic() + 1

    def run(number: int) -> None:
        while monotonic() < until:
            for value in "xyz":
                assert publish({"a": value}) in (Status.ACCEPTED, Status.SKIPPED)
                counts[number] += 1

    threads = [threading.Thread(target=run, args=[number]) for number in range(4)]
    try:
        for thread in threads:
            thread.start()
        exchanged = 0
        while monotonic() < until:
            for taker in (*takers, None):
                stream.taker = taker
                exchanged += 1
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert all(counts)
    assert exchanged


@pytest.mark.parametrize("number", [0, 1, 500, 20_000])
def test_a_key_is_found_however_many_there_are_and_whatever_equals_it(number: int) -> None:
    index: dict[object, int] = dict.fromkeys([*map(str, range(number)), *range(number), "", -1], 1)
    marks = Marks(index)
    assert len(marks.bits) <= 16_384
    taken = intake()
    target = gate([Look(Kind.KEYS, ("a",), index, marks.bits)], taken, taken.keep)
    assert target is not None
    for key in index:
        same = float(key) if isinstance(key, int) else key
        assert target({"a": key}) is target({"a": same}) is Status.ACCEPTED
    for other in ("x", 0.5, number + 1, None, 2**70):
        assert target({"a": other}) is Status.SKIPPED
    marks.add("x")
    index["x"] = 1
    assert target({"a": "x"}) is Status.ACCEPTED
