"""Threads of the system's, whatever is patched, that never meet the end of the interpreter."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mql.host.native_threads import Thread
from publish_agent import Agent
from tests.live.support import until

pytestmark = pytest.mark.timeout(110)

ROOT = Path(__file__).resolve().parents[3]
EXITS = int(os.environ.get("MQL_EXITS", "16"))
"""`make exits` has more."""

REAL = """
import sys
import threading, time
from mql.host import native_threads
how, library = sys.argv[1:3]
made = native_threads.Thread(lambda: None, "before") if how == "made before" else None
if library == "gevent":
    from gevent import monkey
    monkey.patch_all()
else:
    import eventlet
    eventlet.monkey_patch()
assert native_threads.ARE_REAL
idents, go_on = [native_threads.thread_ident()], native_threads.Event()

def wait():
    idents.append(native_threads.thread_ident())
    assert go_on.wait(20)

waits = native_threads.Thread(wait, "waits")
waits.start()
assert not waits.join(0.05) and waits.is_alive()
ticks = []
ticker = threading.Thread(target=lambda: ticks.append(time.sleep(0.01)))
ticker.start()
ticker.join()
assert ticks and waits.is_alive() and native_threads.running() == ["waits"]
go_on.set()
assert waits.join(20) and not waits.is_alive() and native_threads.running() == []
assert len(set(idents)) == 2
"""

IN_CPP = """
import io, os, random, sys, time
import pyarrow as pa
from mql.host.native_threads import Thread

rows = pa.RecordBatch.from_pydict({"a": pa.array(range(1_000))})

class Slow(io.RawIOBase):
    def writable(self): return True
    def write(self, data): sum(range(2_000)); return len(data)
    def flush(self): sum(range(2_000))
    def close(self): sum(range(20_000)); super().close()

def busy():
    while True:
        made = pa.PythonFile(Slow(), "w")
        with pa.ipc.new_stream(made, rows.schema) as stream:
            for _ in range(10):
                stream.write_batch(rows)
        del made, stream

dice = random.Random(int(sys.argv[1]))
for number in range(int(sys.argv[2])):
    wait_s = dice.uniform(0.0, 0.05)
    pid = os.fork()
    if pid == 0:
        Thread(busy, "busy").start()
        time.sleep(wait_s)
        sys.exit(7)
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if ended != 7:
        print("number", number, "ended with", ended)
"""


FORKED_IN_C = """
import ctypes, os, sys, time
from mql.host.native_threads import Event, Thread

thread = Thread(lambda: Event().wait(60), "waits")
thread.start()
child = ctypes.PyDLL(None).fork()
if child == 0:
    assert not thread.is_alive() and thread.join(60)
    sys.exit(7)
began_s = time.monotonic()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert time.monotonic() - began_s < 5 and thread.is_alive()
os._exit(0)
"""

WAITS_FOR_SIGNALS = """
import os, signal, time
from mql.host.native_threads import Event, Thread

mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
Thread(lambda: Event().wait(60), "ours").start()
assert signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGHUP]) == mask
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(0.1)
assert signal.sigpending() == {signal.SIGTERM}
assert signal.sigwait([signal.SIGTERM]) == signal.SIGTERM
"""

LOGS = """
import sys
library = sys.argv[1]
if library == "gevent":
    from gevent import monkey
    monkey.patch_all()
elif library == "eventlet":
    import eventlet
    eventlet.monkey_patch()
import logging, threading, time
from mql.host.host_log import log_apart
from mql.host.native_threads import Thread, thread_ident

class Handler(logging.Handler):
    def emit(self, record): told.append((record.getMessage(), thread_ident()))

told, handler, log = [], Handler(), logging.getLogger("host")
log.addHandler(handler)
log.propagate = False
handler.acquire()
logs = Thread(lambda: log_apart(log, logging.WARNING, "a line of %s", "ours"), "logs")
logs.start()
assert logs.join(20), "it waits for a handler of the host"
time.sleep(0.2)
assert not told
handler.release()
end_s = time.monotonic() + 20
while not told and time.monotonic() < end_s:
    time.sleep(0.01)
(line, ident), = told
assert line == "a line of ours"
assert (ident == thread_ident()) == (library != "none"), "it logs where it must not"
"""


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, *map(str, arguments)]
    return subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=100
    )


@pytest.mark.parametrize("how", ["imported before", "made before"])
@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_a_thread_is_one_of_the_systems_whatever_is_patched(how: str, library: str) -> None:
    done = run(REAL, how, library)
    assert done.returncode == 0, done.stderr


def test_no_exit_meets_a_thread_of_ours_in_the_middle_of_cpp() -> None:
    done = run(IN_CPP, 1, EXITS)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_a_host_waits_for_signals_that_it_blocks() -> None:
    done = run(WAITS_FOR_SIGNALS)
    assert (done.stderr, done.returncode) == ("", 0)


def test_a_fork_in_c_has_no_threads_to_wait_for() -> None:
    done = run(FORKED_IN_C)
    assert (done.stderr, done.returncode) == ("", 0)


@pytest.mark.parametrize("library", ["none", "gevent", "eventlet"])
def test_log_lines_wait_for_the_host_and_our_threads_do_not(library: str) -> None:
    done = run(LOGS, library)
    assert done.returncode == 0, done.stderr


def test_a_thread_notes_its_end_whatever_ends_it() -> None:
    thread = Thread(lambda: sys.exit(1), "ends")
    thread.start()
    assert thread.join(5)


def test_an_agent_goes_on_after_what_another_thread_raises_in_its_own() -> None:
    agent = Agent("checkout", "tcp://127.0.0.1:1")
    agent.stream("s")
    worker = agent._worker
    assert worker is not None
    until(lambda: worker._thread.has_begun)
    for _ in range(5):
        sent = ctypes.c_ulong(worker._thread._ident), ctypes.py_object(SystemExit)
        assert ctypes.pythonapi.PyThreadState_SetAsyncExc(*sent) == 1
        worker.wake()
        time.sleep(0.1)
    assert worker._thread.is_alive()
    agent.close()
    assert not worker._thread.is_alive()
