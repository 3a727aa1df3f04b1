"""What the agent says in its host's log: each kind of line once a minute, by no caller's thread."""

from __future__ import annotations

from itertools import pairwise

import pytest

from publish_agent.runtime.host_notes import DETAIL_MAX, PAUSE_S, Line, Notes
from tests.publish_agent.router import Router, program


def test_each_kind_of_line_is_said_at_most_once_a_minute() -> None:
    notes, said = Notes(), list[tuple[float, str]]()
    for tenths in range(36_000):
        notes.note(Line.BAD_NAME, f"{tenths}")
        if tenths % 7 == 0:
            notes.note(Line.NO_ROOM, "x" * 100_000)
        said += [(tenths / 10, message) for message in notes.due(tenths / 10)]
    for line in (Line.BAD_NAME, Line.NO_ROOM):
        times = [time_s for time_s, message in said if message.startswith(line.value)]
        assert 58 <= len(times) <= 60
        pauses = [after - before for before, after in pairwise(times)]
        assert min(pauses) >= PAUSE_S
    assert max(len(message) for _, message in said) <= DETAIL_MAX + 100
    assert not Notes().due(0.0)


LOGS = """
import logging, sys, threading, time
from publish_agent import Agent

agent = Agent("checkout", sys.argv[1])
callers, lines = set(), []

class ToStream(logging.Handler):
    def emit(self, record):
        lines.append((record.name, threading.get_ident(), record.getMessage()))
        agent.publish(record.name, {"message": record.getMessage()})

logging.getLogger().addHandler(ToStream())
logging.getLogger().setLevel(logging.INFO)

class Raises(str):
    def __hash__(self): raise ValueError("hash")
    def __eq__(self, other): raise ValueError("eq")
    def __repr__(self): raise ValueError("repr")

class Odd:
    __class__ = property(lambda self: 1 / 0)
    def __repr__(self): raise ValueError("repr")

def publish_oddly():
    for n in range(1100):
        logging.getLogger(f"logger.{n}").info("hello")
    odd = None, 3, ["a"], {}, Odd(), Raises("requests"), object
    for name in ("", "x" * 10_000, "\\ud800", *odd):
        agent.publish(name, {"n": 1})
        agent.stream(name).publish({"n": 1})
        agent.lost(name, 1)

publish_oddly()
thread = threading.Thread(target=publish_oddly)
thread.start()
thread.join()
end = time.monotonic() + 10
while len([l for l in lines if l[0] == "publish_agent"]) < 2 and time.monotonic() < end:
    time.sleep(0.05)
publish_oddly()
time.sleep(1.2)
mine = [(ident, message) for name, ident, message in lines if name == "publish_agent"]
assert len(lines) == 3 * 1100 + len(mine)
kinds = sorted(message.partition(":")[0] for _, message in mine)
print(len(kinds), len(set(kinds)), threading.get_ident() in [ident for ident, _ in mine])
agent.close()
"""


def test_a_log_handler_that_publishes_by_the_loggers_name_meets_no_line_of_ours() -> None:
    router = Router()
    process = program(LOGS, router.address)
    out, err = process.communicate(timeout=40)
    router.close()
    assert (out, err, process.returncode) == ("2 2 False\n", "", 0)


COSTS = """
import logging, sys, time, timeit
from publish_agent import Agent

logging.getLogger("publish_agent").addHandler(logging.NullHandler())
agent = Agent("checkout", sys.argv[1])
for n in range(1_000):
    agent.publish(f"s{n}", {})
event = {}

def once(name):
    began = time.thread_time_ns()
    for _ in range(300):
        agent.publish(name, event)
    return time.thread_time_ns() - began

def ratio(name):  # of the best of many turns, taken in turn with those of a name that is known
    turns = [(once(name), once("s1")) for _ in range(60)]
    return min(turn for turn, _ in turns) / min(turn for _, turn in turns)

for name in ("\\ud800", "one more", 3, ["a"], "x" * 500, None):
    print(round(ratio(name), 1))
names = iter([f"{'é' * 20}{n}" for n in range(3_000)])
for n in range(2_000):
    agent.publish(next(names), {})  # of which some are remembered
def beyond():
    agent.publish(next(names), event)
times = timeit.repeat(beyond, number=40, repeat=20, timer=time.thread_time_ns)
print(round(min(times) / 40 / (min(once("s1") for _ in range(60)) / 300), 1))
"""


@pytest.mark.alone
def test_a_bad_name_and_one_stream_too_many_cost_no_event_more_than_a_look() -> None:
    router = Router()
    process = program(COSTS, router.address)
    out, err = process.communicate(timeout=60)
    router.close()
    assert (err, process.returncode) == ("", 0)
    ratios = [float(line) for line in out.split()]
    assert len(ratios) == 7
    assert max(ratios) < 20, ratios  # a line of a log takes more than 60 times as long
