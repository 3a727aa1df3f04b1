"""Whether the host has left what libzmq takes: without it libzmq ends the process.

Descriptors, threads and memory are taken for a moment and given back, just before libzmq takes
them. A service that takes the last of them within that moment can still be ended.
"""

from __future__ import annotations

import mmap
import os
import time
from _thread import allocate_lock, get_native_id, start_new_thread
from collections.abc import Callable
from pathlib import Path

import zmq

DESCRIPTORS = 32
"""So many have to be free before a socket is made."""
THREADS = 8
"""So many have to be free before a context is made: it takes two, and others take some, too."""
CONTEXT_BYTES = 400 * 1024 * 1024
"""The address space of a context: stacks of its threads, and what glibc reserves for each."""
_WAIT_S = 1.0
_LOOK_S = 0.001
_TASKS = Path("/proc/self/task")


class NoRoomError(OSError):
    """There is too little left of something."""


def check_descriptors() -> None:
    """Raise NoRoomError if descriptors are short."""
    held: list[int] = []
    try:
        held.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(DESCRIPTORS))
    except OSError as error:
        raise NoRoomError(f"fewer than {DESCRIPTORS} free file descriptors: {error}") from None
    finally:
        for descriptor in held:
            os.close(descriptor)


def check_memory(size: int) -> None:
    """Raise NoRoomError if so many bytes more cannot be had. They are not touched."""
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except (OSError, MemoryError) as error:
        raise NoRoomError(f"less than {size:,} bytes of memory: {error}") from None


def check_threads() -> None:
    """Raise NoRoomError if threads are short. When this returns, all that were started are gone."""
    gate, running = allocate_lock(), list[int]()
    ended: list[int] = []

    def run() -> None:
        running.append(get_native_id())
        with gate:
            ended.append(get_native_id())

    started = 0
    with gate:
        try:
            for _ in range(THREADS):
                start_new_thread(run, ())
                started += 1
        except (RuntimeError, MemoryError) as error:
            raise NoRoomError(f"fewer than {THREADS} free threads: {error}") from None
        finally:
            _wait_until(lambda: len(running) == started)
    _wait_until(lambda: len(ended) == started)
    _wait_until(lambda: not any((_TASKS / str(task)).exists() for task in ended))
    if len(ended) < started:
        raise NoRoomError("threads that were started did not run")


def make_context() -> zmq.Context[zmq.Socket[bytes]]:
    """A context, with its threads, which it would else start later. Raises NoRoomError."""
    check_descriptors()
    check_memory(CONTEXT_BYTES)
    check_threads()
    made: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made.socket(zmq.PAIR).close(0)
    return made


def _wait_until(holds: Callable[[], bool]) -> None:
    end_s = time.monotonic() + _WAIT_S
    while not holds() and time.monotonic() < end_s:
        time.sleep(_LOOK_S)
