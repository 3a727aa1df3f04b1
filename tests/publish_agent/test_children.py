"""Processes that a service starts: whatever starts them, and wherever their agent was made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mql.wire.messages import Goodbye, Hello, Subscribe
from tests.publish_agent.router import ALL, ROOT, Router

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.alone,
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

EVENTS = 20

MAIN = """
from publish_agent import Agent, Status
import concurrent.futures, multiprocessing, os, sys, time

def make():
    return Agent("checkout", sys.argv[1]).stream("requests")

made_at_import = make() if "import" in sys.argv else None
made_once = None

def publish(task):
    global made_once
    requests = made_at_import or made_once
    if requests is None:
        requests = made_once = make()
    event = {"pid": os.getpid(), "task": task}
    end = time.monotonic() + 20
    while requests.publish(event) is Status.SKIPPED and time.monotonic() < end:
        time.sleep(0.005)
    for _ in range(EVENTS - 1):
        requests.publish(event)

def main():
    context = multiprocessing.get_context(sys.argv[2])
    child = context.Process(target=publish, args=("process",))
    child.start()
    with context.Pool(1) as pool:
        pool.map(publish, ["pool"])
        pool.close()
        pool.join()
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
        list(executor.map(publish, ["executor"]))
    child.join()
    assert child.exitcode == 0

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(
    ("method", "made"),
    [
        ("fork", "import"),
        ("forkserver", "import"),
        ("spawn", "import"),
        ("forkserver", "child"),
    ],
)
def test_the_last_events_of_a_child_come_and_its_goodbye(
    tmp_path: Path, method: str, made: str
) -> None:
    main = tmp_path / "main.py"
    main.write_text(MAIN.replace("EVENTS", str(EVENTS)))
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    router = Router()
    process = subprocess.Popen(
        [sys.executable, main, router.address, method, made],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    asked: set[bytes] = set()

    def ask() -> bool:
        """Ask each agent that says hello, until the service has ended."""
        for peer in router.peers().values():
            if peer not in asked:
                asked.add(peer)
                router.send(peer, Subscribe(1, 0, "requests", ALL, 1000))
        return process.poll() is not None

    try:
        router.run(ask, 50)
        out, err = process.communicate()
        assert (out, err, process.returncode) == ("", "", 0)
        router.run(lambda: len(router.of(Goodbye)) == len(router.peers()))
        tasks = [text.partition('"task":')[2].strip('"}') for text in router.texts()]
        counts = {task: tasks.count(task) for task in set(tasks)}
        assert counts == dict.fromkeys(("process", "pool", "executor"), EVENTS)
        named = {hello.pid for hello in router.of(Hello) if isinstance(hello, Hello)}
        pids = {int(text.split(":")[1].split(",")[0]) for text in router.texts()}
        assert pids <= named
    finally:
        process.kill()
        router.close()
