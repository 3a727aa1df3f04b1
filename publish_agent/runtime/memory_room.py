"""Whether the host has left what libzmq takes: without it libzmq ends the process.

Descriptors, threads and memory are taken for a moment and given back, just before libzmq takes
them. A service that takes the last of them within that moment can still be ended.
"""

from __future__ import annotations

import os
import posix
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import zmq

from mql.host.native_threads import Event, Thread, check_space, thread_bytes, thread_id

DESCRIPTORS = 32
"""So many have to be free before a socket is made."""
THREADS = 6
"""So many have to be free before a context is made: it takes two, and others take some, too."""
_SHUTDOWN = "interpreter shutdown"
"""Python 3.12 says so of threads once the main thread has ended, though others go on for long."""
_WAIT_S = 1.0
_LOOK_S = 0.001
_TASKS = Path("/proc/self/task")


class NoRoomError(OSError):
    """There is too little left of something."""


def check_descriptors() -> None:
    """Raise NoRoomError if descriptors are short."""
    held: list[int] = []
    try:
        held.extend(posix.open(os.devnull, os.O_RDONLY) for _ in range(DESCRIPTORS))
    except OSError as error:
        raise NoRoomError(f"fewer than {DESCRIPTORS} free file descriptors: {error}") from None
    finally:
        for descriptor in held:
            posix.close(descriptor)


def check_memory(size: int) -> None:
    """Raise NoRoomError if so many bytes more cannot be had. They are not touched."""
    try:
        check_space(size)
    except MemoryError as error:
        raise NoRoomError(str(error)) from None


def check_threads(number: int = THREADS) -> None:
    """Raise NoRoomError if so many threads cannot be had. All are gone when this returns.

    Where Python starts none any more there is nothing to learn: libzmq starts its own.
    """
    gate, tasks, started = Event(), list[int](), list[Thread]()

    def run() -> None:
        tasks.append(thread_id())
        gate.wait(_WAIT_S)

    try:
        for each in range(number):
            thread = Thread(run, f"mql-room-{each}")
            thread.start()
            started.append(thread)
        _wait_until(lambda: len(tasks) == number)
    except (RuntimeError, MemoryError) as error:
        if _SHUTDOWN in str(error):
            return
        raise NoRoomError(f"fewer than {number} free threads: {error}") from None
    finally:
        gate.set()
        for thread in started:
            thread.join(_WAIT_S)
        _wait_until(lambda: not any((_TASKS / str(task)).exists() for task in tasks))
    if len(tasks) < number:
        raise NoRoomError(f"{number - len(tasks)} threads that were started did not run")


def make_context(memory: int) -> zmq.Context[zmq.Socket[bytes]]:
    """A context, with its threads, which it would else start later. Raises NoRoomError.

    So many bytes of memory are left then for what the threads do.
    """
    check_descriptors()
    check_memory(memory + THREADS * thread_bytes())
    check_threads()
    made: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made.socket(zmq.PAIR).close(0)
    return made


def _wait_until(holds: Callable[[], bool]) -> None:
    end_s, never = monotonic() + _WAIT_S, Event()
    while not holds() and monotonic() < end_s:
        never.wait(_LOOK_S)
