"""Imports what runs queries on an agent's thread, once in a process, and has a fork wait for it.

A child that was forked in the middle of an import has half a module, and the lock of a thread that
is not there: its own `import numpy` would wait for ever. What fails is tried again after some time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING

from mql.host.last_signal import come_first_at_exit
from mql.host.native_threads import Cut, make_lock
from mql.host.system import after_fork
from publish_agent.protocol.late_factory import TooLateError, load_factory
from publish_agent.runtime.host_notes import NOTES, Line
from publish_agent.runtime.memory_room import THREADS, check_memory, check_threads

if TYPE_CHECKING:
    from publish_agent.drain.query_factory import QueryFactory

FORK_WAITS_S = 5.0
"""So long a fork waits for an import. One that takes longer waits for the thread that forks."""
AGAIN_S = 60.0
"""After so long an import that has failed is tried again."""
BYTES = 256 << 20
"""The address space that the imports take, with room for their threads."""
SWITCH_S = 0.0005
"""How long another thread may keep the interpreter meanwhile: an import gives it away at each file,
and would wait 5 ms for it, a thousand times, in a service that computes."""
_MODULES = ("numpy", "pyarrow", "lark")
_STEPS = (*_MODULES, "mql.language.syntax", "publish_agent.drain.decode")
"""A process that ends goes on with none of these: each takes a tenth of a second at most."""


def _never() -> bool:
    return False


class LateImports:
    """The imports of a process; its agents take turns."""

    def __init__(self) -> None:
        self._turn = make_lock()
        self._holds_turn = False
        self._is_torn = False
        self._failure = ""
        self._again_s = 0.0

    def load(self, is_over: Callable[[], bool] = _never) -> type[QueryFactory]:
        """Import. Raises ImportError, with the reason; TooLateError once it `is_over`."""
        with self._turn:
            if self._is_torn:
                raise ImportError("this process was forked while its parent imported what it needs")
            if self._failure and monotonic() < self._again_s:
                raise ImportError(self._failure)
            try:
                return _import(is_over)
            except (Cut, TooLateError):
                raise
            except BaseException as error:
                self._failure, self._again_s = f"{error!r}", monotonic() + AGAIN_S
                NOTES.note(Line.CANNOT_IMPORT, self._failure)
                raise ImportError(self._failure) from error

    def before_fork(self) -> None:
        """Wait until no import goes on, and let none begin."""
        self._holds_turn = self._turn.acquire(timeout=FORK_WAITS_S)

    def after_fork(self) -> None:
        """In the parent: let imports begin."""
        if self._holds_turn:
            self._holds_turn = False
            self._turn.release()

    def after_fork_in_child(self) -> None:
        """In the child, which has no thread that imports. A fork in C may not have waited."""
        self._is_torn = self._is_torn or (self._turn.locked() and not self._holds_turn)
        self._turn, self._holds_turn = make_lock(), False


def _import(is_over: Callable[[], bool]) -> type[QueryFactory]:
    _check_room()
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(min(before_s, SWITCH_S))
    try:
        return _import_all(is_over)
    finally:
        if sys.getswitchinterval() <= SWITCH_S:  # the host has not set it meanwhile
            sys.setswitchinterval(before_s)


def _import_all(is_over: Callable[[], bool]) -> type[QueryFactory]:
    for step in _STEPS:
        if is_over():
            raise TooLateError("the agent is being closed")
        import_module(step)
    factory = load_factory()
    from publish_agent.drain.query_factory import warm_up  # noqa: PLC0415 - it is there now
    from publish_agent.runtime.allocator import (  # noqa: PLC0415 - NumPy is, too
        give_back,
        keep_scratch,
    )

    warm_up()
    come_first_at_exit()
    give_back()
    keep_scratch()
    return factory


def _check_room() -> None:
    """Raise NoRoomError where the imports would find too little of something.

    OpenBLAS, which comes with NumPy, starts a thread for each processor, and where it cannot it
    sends its process SIGINT.
    """
    if all(name in sys.modules for name in _MODULES):
        return
    check_memory(BYTES)
    if "numpy" not in sys.modules:
        check_threads(THREADS + _processors())


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


LATE_IMPORTS = LateImports()
after_fork(
    LATE_IMPORTS.after_fork_in_child, LATE_IMPORTS.after_fork, before=LATE_IMPORTS.before_fork
)
