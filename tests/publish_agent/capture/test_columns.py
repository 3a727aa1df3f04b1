"""Events of which every one counts are copied as few values, and nothing of them is lost."""

from __future__ import annotations

import platform
import subprocess
import sys
import threading

import pyarrow as pa
import pytest

import mql
from mql.columnar.read import plain, to_python
from mql.language.syntax import Property
from mql.values.json_values import read_json
from mql.wire.messages import Batch
from publish_agent.capture.encode import encode as write_event
from publish_agent.capture.event_buffer import Intake, Room, Status
from publish_agent.capture.value_columns import Columns, Needs
from publish_agent.settings import Settings
from tests.publish_agent.support import Bench

pytestmark = pytest.mark.usefixtures("both_ways")

COUNTED = "select count(*), sum(n), max(n), k from s window 1 group by k"
PLENTY = Room(1 << 30)
N = Property(("n",))


class Kept:
    """Columns of one property, and what keeps values in them: compiled, or as made in Python."""

    def __init__(
        self, limit: int = 1_000_000, room: Room = PLENTY, *, is_key: bool = False
    ) -> None:
        self.clock = [1_000]
        needs = Needs((N,), frozenset({N} if is_key else ()))
        self.columns = Columns(needs, lambda: self.clock[0], room, limit)
        self.intake = Intake(lambda _: (0,), write_event, lambda: 0, lambda: 0, room, limit)
        self._copy = self.columns.copier([("n",)], self.intake)

    @property
    def is_compiled(self) -> bool:
        return self._copy is not None

    def keep(self, value: object, key: str = "n") -> bool:
        if self._copy is not None:
            return self._copy({"m": 0, key: value}) is Status.ACCEPTED
        if next(self.columns.ticks) and not self.columns.mark():
            return False
        self.columns.values += (value,)
        return True

    def take(self) -> tuple[list[object], list[int]]:
        taken = self.columns.take()
        if taken is None:
            return [], []
        return to_python(plain(taken.columns[0])), taken.times.repeat(taken.sizes).tolist()


@pytest.mark.parametrize(
    ("wheres", "are_copied"),
    [
        (["n >= 5"], True),
        (["k == 'a'"], True),
        (["k == 'a' and n < 3", "t ==~ /.*a.*/", "n in (1, 2)"], True),
        (["not n == 5", "k == 'a' and n > 3"], True),
        (["n == 1 or k == 'b'"], True),
        (["n >= 5", "1 == 1"], True),
        (["e['l'][*] == 1"], False),
        ([f"n >= {i}" for i in range(8)], True),
        ([f"n >= {i}" for i in range(9)], False),
        ([f"p{i} == 1" for i in range(7)], False),
    ],
)
def test_values_are_all_that_is_kept_for_counts_of_what_passes(
    wheres: list[str],
    are_copied: bool,  # noqa: FBT001
) -> None:
    bench = Bench()
    for number, where in enumerate(wheres):
        text = f"select count(*), sum(n), k from s where {where} window 1 group by k"
        bench.subscribe(number, text, states=True, tick=False)
    bench.tick()
    bench.tick()
    assert not bench.refusals()
    events = [{"n": i % 9, "k": "abc"[i % 3], "t": "xa"[i % 2], "l": [i % 4]} for i in range(360)]
    events += [{"n": [1], "k": "a"}, {"k": "a", "n": None}]
    bench.publish(*events)
    present = bench.state.queries.streams[0]._present
    assert present is not None
    assert (present.screen.needs is not None) == are_copied
    assert len(present.intake.rows) < 3 or not are_copied
    bench.settle()
    for number, where in enumerate(wheres):
        passed = mql.run(f"select * from s where {where}", {"s": events}).rows()
        assert bench.got(number).total.shipped == len(passed), where
        assert bench.got(number).total.seen == len(events)


def test_few_events_have_their_own_time_each() -> None:
    made = Kept()
    for i in range(100):
        made.clock[0] = 1_000 + i * 100_000
        assert made.keep(i)
    assert made.take() == (list(range(100)), [1_000 + i * 100_000 for i in range(100)])
    assert made.columns.take() is None


@pytest.mark.parametrize(
    ("apart_ns", "one_of"), [(1, 64), (15_000, 64), (20_000, 16), (60_000, 16), (70_000, 1)]
)
def test_so_many_events_are_timed_that_the_others_are_less_than_a_ms_later(
    apart_ns: int, one_of: int
) -> None:
    made = Kept()
    for i in range(10_000):
        made.clock[0] = 1_000 + i * apart_ns
        made.keep(i)
    values, times = made.take()
    assert values == list(range(10_000))
    late = [1_000 + i * apart_ns - time for i, time in enumerate(times)]
    assert max(late[:256]) == 0
    assert max(late[2_000:]) == (one_of - 1) * apart_ns < 1_000_000
    made.clock[0] += 50_000
    made.keep(0)
    assert made.take() == ([0], [made.clock[0]])


def test_events_that_come_in_bursts_are_timed_each() -> None:
    made, published = Kept(), []
    for burst in range(100):
        for i in range(40):  # 2,000 a second
            made.clock[0] = 1_000 + burst * 20_000_000 + i * 1_000
            published.append(made.clock[0])
            assert made.keep(i)
    _, times = made.take()
    assert times == published, "a pause may come behind any of them"


def test_of_events_around_a_pause_it_is_said_that_they_are_not_sure() -> None:
    made, burst = Kept(), 20_005
    for _ in range(burst):
        made.clock[0] += 1_000
        assert made.keep(0)
    made.clock[0] += 30_000_000
    assert made.keep(0)
    made.clock[0] += 12_000_000
    taken = made.columns.take()
    assert taken is not None
    ((first_ns, last_ns),) = taken.unsure
    assert last_ns == made.clock[0]
    assert 42_000_000 <= last_ns - first_ns <= 42_063_000
    assert made.keep(0)
    taken = made.columns.take()
    assert taken is not None
    assert taken.unsure == ()


@pytest.mark.parametrize(("pause_ms", "unsure_ms"), [(5, 0), (30, 30), (300, 300)])
def test_windows_that_a_pause_divides_are_estimates_if_it_is_long(
    pause_ms: int, unsure_ms: int
) -> None:
    bench = Bench(Settings(service="checkout", buffer_events=100_000))
    bench.subscribe(1, COUNTED, states=True)
    for _ in range(14):
        bench.tick(70_000)
    bench.now_us += 990_000 - bench.now_us % 1_000_000
    bench.tick(0)
    for i in range(20_005):
        bench.now_us += i % 300 == 0
        bench.publish({"n": 1, "k": "x"})
    assert bench.statuses == {Status.ACCEPTED: 20_005}
    bench.now_us += pause_ms * 1_000
    bench.publish({"n": 1, "k": "x"})
    bench.tick(10)
    bench.tick(200_000)
    clocks = [m.clock_us for m in bench.job.messages if isinstance(m, Batch)]
    assert max(clocks) // 1_000 == unsure_ms


def test_events_that_come_slower_are_timed_each_again() -> None:
    made = Kept()
    for i in range(20_000):
        made.clock[0] += 1_000 if i < 10_000 else 200_000
        assert made.keep(made.clock[0])
    values, times = made.take()
    late = [int(str(value)) - time for value, time in zip(values, times, strict=True)]
    assert max(late[:10_000]) == 63_000
    assert max(late[12_000:]) == 0


def test_a_full_buffer_takes_no_more_until_it_is_taken() -> None:
    made = Kept(limit=300)
    kept = sum(made.keep(i) for i in range(1_000))
    assert 300 <= kept < 316
    assert made.take()[0] == list(range(kept))
    assert made.keep(0)


def test_what_values_take_counts_and_no_more_is_taken_than_there_is_room_for() -> None:
    room = Room(100_000)
    made = Kept(room=room)
    kept = sum(made.keep("x" * 1_000) for _ in range(10_000))
    assert 90 <= kept < 1_100
    assert room.used >= room.limit
    assert len(made.take()[0]) == kept


@pytest.mark.parametrize("is_key", [False, True])
def test_columns_of_all_sizes_are_kept_and_let_go_of_again(is_key: bool) -> None:  # noqa: FBT001
    made = Kept(is_key=is_key)
    for number in (1, 255, 256, 257, 100_000, 3, 2, 1, 5_000, 0, 1):
        values = [f"{i} é" if i % 3 else None for i in range(number)]
        assert all(map(made.keep, values))
        assert made.take()[0] == values


@pytest.mark.parametrize("distinct", [1, 3, 511, 512, 513, 1_024, 5_000])
def test_keys_are_there_once_while_they_are_few(distinct: int) -> None:
    made = Kept(is_key=True)
    values = [None if i % 7 == 0 else f"key {i % distinct}" for i in range(5_000)]
    assert all(map(made.keep, values))
    taken = made.columns.take()
    assert taken is not None
    column = taken.columns[0]
    assert plain(column).to_pylist() == values
    if pa.types.is_dictionary(column.type) and distinct <= 100:
        assert len(column.dictionary) == len({*values} - {None})


def test_room_is_asked_for_before_much_more_than_there_is_has_come() -> None:
    room = Room(1 << 22)
    made = Kept(room=room)
    if not made.is_compiled:
        pytest.skip("made in Python, texts are kept as they are, and not measured")
    assert all(made.keep("") for _ in range(1_000))
    kept = sum(made.keep("x" * 1_000) for _ in range(10_000))
    assert kept * 1_000 <= room.limit + (1 << 19)


def test_keys_of_events_that_are_kept_whole_make_no_others_odd() -> None:
    key, room = Property(("k",)), PLENTY
    columns = Columns(Needs((key, N), frozenset({key})), lambda: 0, room, 10_000)
    intake = Intake(lambda _: (0,), write_event, lambda: 0, lambda: 0, room, 10_000)
    copy = columns.copier([("k",), ("n",)], intake)
    if copy is None:
        pytest.skip("made in Python, an event is looked at before a part of it is kept")
    for i in range(10_000):
        copy({"k": f"key {i}", "n": [i] if i % 2 else i})
    taken = columns.take()
    assert taken is not None
    assert plain(taken.columns[1]).to_pylist() == list(range(0, 10_000, 2))
    assert plain(taken.columns[0]).to_pylist() == [f"key {i}" for i in range(0, 10_000, 2)]
    assert len(intake.rows) == 5_000


def test_keys_of_some_length_are_kept_in_columns_for_so_many_rows_only() -> None:
    made = Kept(is_key=True)
    for i in range(50_000):
        assert made.keep(i if i % 100 == 0 else "ab"[i % 2] * 1_000)
    values, _ = made.take()
    assert len(values) + len(made.intake.rows) == 50_000
    if made.is_compiled:
        assert 16_000_000 < sum(len(str(value)) for value in values) < 17_000_000


def test_a_buffer_that_fills_up_between_two_drains_is_drained_sooner() -> None:
    bench = Bench(Settings(service="checkout", buffer_events=1_000))
    bench.subscribe(1, COUNTED, states=True)
    bench.tick(100_000)
    pauses = []
    for number in (100, 300, 500, 100):
        bench.publish(*({"n": i, "k": "x"} for i in range(number)))
        bench.tick(20_000)
        pauses.append(bench.state.next_wake_us() - bench.now_us)
    assert pauses[0] > pauses[1] > pauses[2] < pauses[3]
    bench.settle()
    assert bench.got().total.shipped == 1_000


def test_a_field_is_found_by_any_text_that_is_its_name() -> None:
    made = Kept()
    for drain in range(20):
        texts = ["n", *(b"n".decode() for _ in range(2)), "nn"]  # equal, but not the same
        for number in range(drain):
            assert made.keep(number, texts[(drain + number) % 4])
        missing = [None if (drain + number) % 4 == 3 else number for number in range(drain)]
        assert made.take()[0] == (missing if made.is_compiled else list(range(drain)))


def test_threads_lose_nothing_while_values_are_taken() -> None:
    made = Kept()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    taken: list[object] = []
    threads = [
        threading.Thread(target=lambda t=t: [made.keep(t * 5_000 + i) for i in range(5_000)])
        for t in range(4)
    ]
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            taken += made.take()[0]
    finally:
        sys.setswitchinterval(interval)
    taken += made.take()[0]
    taken += [read_json(row[2])["n"] for row in made.intake.drain()]  # type: ignore[index]
    assert sorted(taken) == list(range(4 * 5_000))  # type: ignore[type-var]


class Text(dict[str, object]):
    """An event that is kept as text."""


VALUES = [
    1, 2.5, True, None, "x", "", float("nan"), float("inf"), 2**62, 2**63, 10**30, -(2**63),
    "y" * 5_000, {"a": 1}, [1], "\ud800", "\u00e9", -0.0, 1e308,
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_copied_values_count_as_those_of_text(value: object) -> None:
    states = []
    for kind in (dict, Text):
        bench = Bench()
        bench.subscribe(1, COUNTED, states=True)
        bench.publish(kind({"k": "a", "n": value}), kind({"k": value, "n": 1}), kind({"k": "a"}))
        bench.settle()
        assert bench.got().total.seen == bench.got().total.shipped == 3
        states.append(sorted(map(repr, bench.got().states)))
    assert states[0] == states[1]


def test_what_a_query_does_not_need_need_not_be_readable() -> None:
    bench = Bench()
    bench.subscribe(1, COUNTED, states=True)
    bench.publish({"k": "a", "n": 1, "other": object()})
    bench.settle()
    assert bench.got().total.shipped == 1


def test_what_is_not_plain_is_copied_before_publish_returns() -> None:
    bench = Bench()
    bench.subscribe(1, "select count(*), k from s window 1 group by k", states=True)
    event: dict[str, object] = {"k": ["list"]}
    bench.publish(event)
    event["k"].append("changed")  # type: ignore[attr-defined]
    bench.settle()
    assert "['list']" in str(bench.got().states[0])


def test_a_full_buffer_is_told() -> None:
    bench = Bench(Settings(service="checkout", buffer_events=100))
    bench.subscribe(1, COUNTED, states=True)
    bench.publish(*({"k": "a", "n": i} for i in range(150)))
    bench.settle()
    assert bench.statuses == {Status.ACCEPTED: 100, Status.DROPPED_BUFFER: 50}
    assert bench.got().total.buffer == 50
    assert bench.got().total.seen == 150


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is about glibc's allocator")
def test_memory_of_one_drain_is_there_for_the_next() -> None:
    code = """
import resource, numpy as np
from publish_agent.runtime.allocator import keep_scratch
keep_scratch()
def faults():
    drain = [np.ones(12_000) for _ in range(10)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
[faults() for _ in range(20)]
before = faults()
[faults() for _ in range(99)]
print(faults() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2_000  # without it, 20,000
