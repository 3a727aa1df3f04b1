"""Signals that end the process by their default: who still has something to send does so first.

Compiled code (`last_signal.c`) stands where the kernel's default did, and only there. Python's
table of handlers says `SIG_DFL` as before, and a handler that the host sets takes its place. A host
that sets `SIG_DFL` again, as uvicorn does before it raises the signal once more, would take the
kernel's too; so `signal.signal` is wrapped. Half a second after a signal the process has died of
it, whatever its threads do, and a second signal ends it at once. A host that calls C's `exit` with
the interpreter still up, as uWSGI does, waits there as long.
"""

from __future__ import annotations

import ctypes
import os
import signal
from functools import cache, wraps
from pathlib import Path
from typing import Any

from mql.host.compiled import agrees, load
from mql.host.system import after_fork

LIBRARY = Path(__file__).with_name("_compiled.so")
"""Where the build puts what it has compiled."""
LIMIT_S = 0.5
"""So long a process goes on after the signal that it dies of."""
WOKEN_MAX = 64
"""Sockets that a signal wakes; further ones are not woken."""
CONSTANTS = {"WOKEN_MAX": WOKEN_MAX, "LONGEST_MS": int(LIMIT_S * 1_000)}

_NAMES = ("SIGTERM", "SIGINT", "SIGHUP")
_SIGNALS = frozenset(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
_FIRST_PROCESS = 1
"""The kernel keeps the default of signals from the first process of a container."""


@cache
def _library() -> ctypes.PyDLL | None:
    """The compiled code, or None where signals cannot be had: all ends as it would without."""
    loaded = load(ctypes.PyDLL, LIBRARY)
    if loaded is None or not hasattr(loaded, "wake_by_signal"):
        return None
    return loaded if agrees(loaded, "constants_of_last_signal", CONSTANTS) else None


def wake_by_signal(descriptor: int) -> bool:
    """Have a socket written to when a signal comes that ends the process. From any thread.

    The process then waits until `let_die` has been called for each socket; in C's `exit`, too.
    """
    library = _library()
    if library is None or not library.wake_by_signal(descriptor):
        return False
    if os.getpid() == _FIRST_PROCESS:
        return False
    for number in _SIGNALS:
        _watch(number)
    _wrap()
    return True


def let_die(descriptor: int) -> None:
    """Say that nothing is left to be sent. Where a signal has come, the last one dies of it."""
    if (library := _library()) is not None:
        library.let_die(descriptor)


def come_first_at_exit() -> None:
    """Have C's `exit` wait before it tears down what has been loaded until now."""
    if (library := _library()) is not None:
        library.come_first_at_exit()


def is_dying() -> bool:
    """Whether a signal has come of which the process dies, or it is in C's `exit`."""
    library = _library()
    return library is not None and library.is_ending() != 0


def _watch(number: int) -> None:
    library = _library()
    if library is not None and signal.getsignal(number) is signal.SIG_DFL:
        library.watch_signal(number)


def _wrap() -> None:
    """Have each `SIG_DFL` that the host sets later looked at."""
    original = signal.signal
    if getattr(original, "is_watched", False):
        return

    @wraps(original)
    def watched(signalnum: Any, handler: Any) -> Any:
        before = original(signalnum, handler)
        if signalnum in _SIGNALS and os.getpid() != _FIRST_PROCESS:
            _watch(signalnum)
        return before

    watched.is_watched = True  # type: ignore[attr-defined]
    signal.signal = watched


def _after_fork() -> None:
    """In the child: nothing waits for it yet."""
    if (library := _library()) is not None:
        library.forget_all()


after_fork(_after_fork)
