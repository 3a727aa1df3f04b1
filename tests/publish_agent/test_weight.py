"""A service that nobody asks pays for a stream and a thread; its first query brings the rest."""

from __future__ import annotations

import json
import subprocess

import pytest

from mql.wire.messages import Accept, Heartbeat, Refuse, Subscribe
from tests.publish_agent.router import ALL, Router, program

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.alone,
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

HEAVY = {
    "numpy",
    "pyarrow",
    "lark",
    "asyncio",
    "multiprocessing",
    "hashlib",
    "_hashlib",
    "sysconfig",
}
"""Nothing of this is imported before somebody asks."""
NOWHERE = "tcp://127.0.0.1:1"
IDLE_MB, ASKED_MB, THREADS = 15, 76, 3
"""What an agent weighs over a bare Python, as docs/agent.md says."""
OURS_MB = 11
"""Of what an agent with a query weighs, what is not of those that it stands on."""
IDLE_CPU = 0.85
"""In what importing NumPy, pyarrow and lark takes: 80 ms where that takes 95."""

FIGURES = """
import json, os, sys, time

def figures():
    with open("/proc/self/smaps_rollup") as lines:
        rss = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Rss"))
    threads = len(os.listdir("/proc/self/task"))
    print(json.dumps([time.process_time(), rss, threads, [*sys.modules]]), flush=True)

"""
BARE = FIGURES + "figures()"
IMPORTS = FIGURES + "import numpy, pyarrow, lark\nfigures()"
LIBRARIES = (
    FIGURES
    + """
import logging, msgspec, numpy, lark, zmq
import pyarrow as pa
from pyarrow import _compute
zmq.Context().socket(zmq.DEALER)
_compute.call_function("filter", [pa.nulls(1_000, pa.int64()), pa.nulls(1_000, pa.bool_())])
figures()
"""
)
"""What runs queries, without a query."""
IDLE = (
    FIGURES
    + """
from publish_agent import Agent
agent = Agent("checkout", sys.argv[1], redact=["password", "*token*", "e['card']['number']"])
requests = agent.stream("requests")
requests.publish({"a": 1})
time.sleep(0.7)
figures()
"""
)
ASKED = """
requests.publish({"a": int(input())})
time.sleep(0.5)
figures()
"""
BEFORE_PYARROW = """
import sys, time, threading
importing = threading.Event()

class Finder:
    def find_spec(self, name, path, target=None):
        if name == "pyarrow":
            importing.set()
            HOW

sys.meta_path.insert(0, Finder())
"""
FORKS = """
importing.wait(20)
import os, signal
child = os.fork()
if child == 0:
    signal.alarm(15)
    import numpy, pyarrow, lark
    os._exit(numpy.arange(3).sum() - 3)
print(os.waitpid(child, 0)[1], flush=True)
input()
"""
Weight = tuple[float, float, int, set[str]]


def read(process: subprocess.Popen[str]) -> Weight:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    cpu_s, rss_mb, threads, modules = json.loads(line)
    return cpu_s, rss_mb, threads, set(modules)


def weigh(code: str) -> Weight:
    """What a program weighs, of some runs the one that took the least time."""
    weights = []
    for _ in range(3):
        with program(code, NOWHERE) as process:
            weights.append(read(process))
            process.kill()
    return min(weights, key=lambda weight: weight[0])


@pytest.fixture
def with_compiled_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service does not compile its modules with each start."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)


@pytest.mark.usefixtures("with_compiled_modules")
def test_an_agent_that_nobody_asks_weighs_little() -> None:
    bare_s, bare_mb, bare_threads, _ = weigh(BARE)
    imports_s, *_ = weigh(IMPORTS)
    idle_s, idle_mb, idle_threads, modules = weigh(IDLE)
    assert not HEAVY & modules
    assert idle_threads - bare_threads <= THREADS
    assert idle_mb - bare_mb <= IDLE_MB
    assert idle_s - bare_s <= IDLE_CPU * (imports_s - bare_s)


@pytest.mark.usefixtures("with_compiled_modules")
def weigh_asked(router: Router) -> Weight:
    """What an agent weighs that has answered its first query."""
    query = len(router.of(Accept)) + 1
    with program(IDLE + ASKED, router.address) as process:
        before = router.peers()
        router.run(lambda: router.peers() != before, 20)
        assert not HEAVY & read(process)[3]
        (peer,) = (peer for agent, peer in router.peers().items() if agent not in before)
        router.subscribe(query, f"{ALL} where a == {2 * query}", peer)
        print(2 * query, file=process.stdin, flush=True)
        weight = read(process)
        process.kill()
    router.run(lambda: f'{{"a":{2 * query}}}' in router.texts())
    return weight


def test_the_first_query_brings_what_runs_it(router: Router) -> None:
    weights = [weigh_asked(router) for _ in range(2)]
    modules = weights[0][3]
    assert {"numpy", "pyarrow", "lark"} <= modules
    assert not {"asyncio", "pandas"} & modules
    asked_mb, bare_mb = min(weight[1] for weight in weights), weigh(BARE)[1]
    assert asked_mb - bare_mb <= ASKED_MB
    assert asked_mb - weigh(LIBRARIES)[1] <= OURS_MB


@pytest.mark.parametrize(
    "error", ["ImportError('none here')", "SystemExit(3)", "OSError('no map')"]
)
def test_an_import_that_fails_is_a_refusal_and_the_agent_goes_on(
    router: Router, error: str
) -> None:
    fails = BEFORE_PYARROW.replace("HOW", f"raise {error}")
    with program(fails + IDLE + "input()", router.address) as process:
        router.run(router.peers, 20)
        (peer,) = router.peers().values()
        for query in (1, 2):  # the second time at once: it is not tried with each query
            router.send(peer, Subscribe(query, 0, "requests", ALL, 1_000))
        router.run(lambda: len(router.of(Refuse)) == 2)
        beats = len(router.of(Heartbeat))
        router.run(lambda: len(router.of(Heartbeat)) > beats)
        process.kill()
    first, second = router.of(Refuse)
    assert isinstance(first, Refuse)
    assert isinstance(second, Refuse)
    assert error.partition("(")[0] in first.reason
    assert first.reason == second.reason
    assert not router.of(Accept)


def test_a_fork_waits_for_an_import_and_its_child_can_import(router: Router) -> None:
    slow = BEFORE_PYARROW.replace("HOW", "time.sleep(0.7)")
    with program(slow + IDLE + FORKS, router.address) as process:
        router.run(router.peers, 20)
        (peer,) = router.peers().values()
        router.send(peer, Subscribe(1, 0, "requests", ALL, 1_000))
        assert process.stdout is not None
        read(process)
        status = process.stdout.readline().strip()
        process.kill()
    assert status == "0"


def test_a_service_may_have_it_at_once(router: Router) -> None:
    preload = FIGURES + "import publish_agent.preload"
    with program(IDLE.replace(FIGURES, preload) + "input()", router.address) as process:
        assert {"numpy", "pyarrow", "lark"} <= read(process)[3]
        router.subscribe(1, ALL)
        process.kill()
