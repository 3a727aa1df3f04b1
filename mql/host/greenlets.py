"""Whether greenlets stand for the host's threads, and how one of them waits for a thread of ours.

Where gevent or eventlet has patched the host, a greenlet that waited in a lock or a socket of the
system's would stop all others of its thread. It waits in their loop, for a file descriptor.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

_PATCHED = ("socket", "thread", "select", "time")
"""Where one of these is patched, those who wait are greenlets."""


def is_patched() -> bool:
    """Whether gevent or eventlet has patched this process."""
    return _gevent() or _eventlet()


def wait_readable(descriptor: int, timeout_s: float | None) -> None:
    """Wait until there is something to read, while other greenlets go on. Raises TimeoutError."""
    if _gevent():
        wait_read = import_module("gevent.socket").wait_read
        wait_read(descriptor, timeout=timeout_s, timeout_exc=TimeoutError())
    else:
        trampoline = import_module("eventlet.hubs").trampoline
        trampoline(descriptor, read=True, timeout=timeout_s, timeout_exc=TimeoutError)


def _gevent() -> bool:
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and any(map(monkey.is_module_patched, _PATCHED))


def _eventlet() -> bool:
    patcher: Any = sys.modules.get("eventlet.patcher")
    return patcher is not None and any(map(patcher.is_monkey_patched, _PATCHED))
