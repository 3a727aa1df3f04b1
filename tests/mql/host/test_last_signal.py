"""Processes that die of a signal once they have said what they had to say, and no later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mql.host.last_signal import LIMIT_S

pytestmark = [pytest.mark.timeout(60), pytest.mark.alone]

ROOT = Path(__file__).parents[3]
PAUSE_S = 0.1
"""Between two signals."""
TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
WORK = """
import faulthandler, os, signal, socket, subprocess, sys, threading, time
from mql.host.last_signal import is_dying, let_die, wake_by_signal

if "MQL_SANITIZED" in os.environ:
    from tests.native.sanitized import use_those_named
    use_those_named()

def say(text):
    os.write(1, f"{text}\\n".encode())

def begin(work_s=0.02):
    reader, writer = socket.socketpair()
    assert wake_by_signal(writer.fileno())

    def work():
        reader.recv(1)
        assert is_dying()
        time.sleep(work_s)
        say("sent")
        let_die(writer.fileno())

    threading.Thread(target=work, daemon=True).start()
    return writer

def wait():
    say("ready")
    time.sleep(30)
"""


def start(program: str) -> subprocess.Popen[str]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", WORK + program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(program: str, *numbers: int) -> tuple[list[str], int, float]:
    """What a program prints once it is ready and signals come; its status; how long that takes."""
    process = start(program)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "ready\n", process.communicate()
    began_s = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(PAUSE_S if len(numbers) > 1 else 0)
    out, err = process.communicate(timeout=20)
    assert err == ""
    return out.split(), process.returncode, time.monotonic() - began_s


@pytest.mark.parametrize("number", [TERM, HUP])
def test_what_is_left_is_sent_and_the_process_dies_of_the_signal(number: int) -> None:
    assert end("begin(); wait()", number)[:2] == (["sent"], -number)


def test_all_that_wait_for_it_are_waited_for() -> None:
    out, status, took_s = end("begin(); begin(0.2); begin(); wait()", TERM)
    assert (out, status) == (["sent"] * 3, -TERM)
    assert took_s > 0.2


@pytest.mark.parametrize(
    "program", ["begin(5); wait()", "begin(); say('ready'); sum(range(10**12))"]
)
def test_it_never_takes_longer_than_the_limit(program: str) -> None:
    """Also where a thread never lets go of the interpreter."""
    out, status, took_s = end(program, TERM)
    assert (out, status) == ([], -TERM)
    assert LIMIT_S <= took_s < LIMIT_S + 0.3


@pytest.mark.parametrize("second", [TERM, HUP])
def test_a_second_signal_ends_it_at_once(second: int) -> None:
    _, status, took_s = end("begin(5); wait()", TERM, second)
    assert status == -second
    assert took_s < LIMIT_S - 0.1


def test_who_has_nothing_left_to_send_dies_at_once() -> None:
    program = "writer = begin(); let_die(writer.fileno()); wait()"
    assert end(program, TERM)[:2] == ([], -TERM)


def test_a_thread_may_begin_it() -> None:
    program = "thread = threading.Thread(target=begin); thread.start(); thread.join(); wait()"
    assert end(program, TERM)[:2] == (["sent"], -TERM)


# What the host sets


def test_python_knows_nothing_of_it() -> None:
    program = """
begin()
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert signal.set_wakeup_fd(-1) == -1
wait()
"""
    assert end(program, TERM)[:2] == (["sent"], -TERM)


HANDLE = "signal.signal(signal.SIGTERM, lambda *_: (say('host'), sys.exit(7)))"


@pytest.mark.parametrize("program", [f"{HANDLE}; begin()", f"begin(); {HANDLE}"])
def test_a_handler_of_the_host_wins(program: str) -> None:
    assert end(f"{program}; wait()", TERM)[:2] == (["host"], 7)


IGNORE = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@pytest.mark.parametrize("program", [f"{IGNORE}; begin()", f"begin(); {IGNORE}"])
def test_what_the_host_ignores_is_ignored(program: str) -> None:
    assert end(f"{program}; wait()", TERM, HUP)[:2] == (["sent"], -HUP)


def test_a_default_that_the_host_sets_again_is_taken_again() -> None:
    program = """
signal.signal(signal.SIGTERM, print)
begin()
assert signal.signal(signal.SIGTERM, signal.SIG_DFL) is print
wait()
"""
    assert end(program, TERM)[:2] == (["sent"], -TERM)


def test_who_raises_a_signal_dies_of_it_there() -> None:
    program = "begin(); say('ready'); signal.raise_signal(signal.SIGTERM); say('went on')"
    assert end(program)[:2] == (["sent"], -TERM)


def test_a_second_signal_ends_who_has_raised_the_first_and_is_alone() -> None:
    """No other thread takes signals: the second one comes in the middle of the first."""
    program = """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
begin(5)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
say("ready")
signal.raise_signal(signal.SIGTERM)
"""
    _, status, took_s = end(program, TERM, TERM)
    assert status == -TERM
    assert took_s < LIMIT_S - 0.1


def test_who_kills_itself_dies_of_it() -> None:
    program = "begin(); say('ready'); os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)"
    assert end(program)[:2] == (["sent"], -TERM)


@pytest.mark.parametrize("library", ["CDLL", "PyDLL"])
def test_a_host_that_ends_by_the_exit_of_c_waits(library: str) -> None:
    """Whether it holds the interpreter there (`PyDLL`) or not."""
    program = f"import ctypes; begin(); say('ready'); ctypes.{library}(None).exit(7)"
    assert end(program)[:2] == (["sent"], 7)


def test_the_exit_of_c_waits_no_longer_than_the_limit() -> None:
    program = "import ctypes; begin(5); begin(); say('ready'); ctypes.CDLL(None).exit(7)"
    out, status, took_s = end(program)
    assert (out, status) == (["sent"], 7)
    assert LIMIT_S <= took_s < LIMIT_S + 0.3


def test_an_interrupt_is_an_exception_unless_the_host_has_it_kill() -> None:
    assert end("signal.signal(signal.SIGINT, signal.SIG_DFL); begin(); wait()", INT)[:2] == (
        ["sent"],
        -INT,
    )
    caught = "begin()\ntry: wait()\nexcept KeyboardInterrupt: sys.exit(7)"
    assert end(caught, INT)[:2] == ([], 7)


def test_a_fault_handler_that_goes_on_to_it_is_no_obstacle() -> None:
    program = """
begin()
faulthandler.register(signal.SIGTERM, file=open(os.devnull, "w"), chain=True)
wait()
"""
    assert end(program, TERM)[:2] == (["sent"], -TERM)


# Children


def test_a_child_that_sends_nothing_dies_at_once_and_its_parent_goes_on() -> None:
    program = """
begin()
child = os.fork()
if child == 0:
    time.sleep(30)
began_s = time.monotonic()
os.kill(child, signal.SIGTERM)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
assert time.monotonic() - began_s < 0.3
assert not is_dying()
wait()
"""
    assert end(program, TERM)[:2] == (["sent"], -TERM)


def test_a_child_waits_for_its_own() -> None:
    program = """
begin()
child = os.fork()
if child == 0:
    begin()
    time.sleep(30)
time.sleep(0.2)
say("ready")
os.kill(child, signal.SIGTERM)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
"""
    assert end(program)[:2] == (["sent"], 0)


def test_another_program_begins_with_the_default() -> None:
    program = """
begin()
caught = subprocess.run(["grep", "SigCgt", "/proc/self/status"], capture_output=True).stdout
assert not int(caught.split()[1], 16) & 1 << signal.SIGTERM - 1, caught
wait()
"""
    assert end(program, TERM)[:2] == (["sent"], -TERM)
