"""Threads, locks and events of the system, whatever gevent or eventlet has put in their place.

A patch replaces the attributes of the modules `_thread` and `threading`. This module has a copy of
`_thread` of its own, made by the interpreter, which no patch reaches, before or after its import.
Its threads are daemons, and take no signals. At exit they are gone before the interpreter is taken
down: who meets that on its way back from C++ ends the process with SIGABRT.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import math
import mmap
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.machinery import BuiltinImporter
from importlib.util import module_from_spec
from time import monotonic
from types import BuiltinFunctionType, ModuleType

from mql.host.system import PRIVATE_MEMORY, after_fork, stack_bytes

_CUT_AGAIN_S = 0.5
"""Code in C may have cleared the first one away."""
_LONGEST_EXIT_S = 10.0
"""Longer than any call into C takes. Who is not back after it waits for code of the host."""
_LOOK_S = 0.02
_SET_NAME = 15
"""`PR_SET_NAME`, of Linux."""
_FAULTS = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS")
"""What a thread brings upon itself, for which a host may have a handler."""
_BLOCKED = signal.valid_signals() - {getattr(signal, name, None) for name in _FAULTS}

ARENA_BYTES = 64 * 1024 * 1024
"""The address space that glibc reserves for what a thread allocates."""
_STACK_BYTES = 8 * 1024 * 1024
"""A thread's stack, where the system sets no limit."""


def _copy_of_thread() -> ModuleType:
    """A module `_thread` of our own, or the one of all where the interpreter makes no other."""
    spec = BuiltinImporter.find_spec("_thread")
    assert spec is not None
    made = module_from_spec(spec)
    BuiltinImporter.exec_module(made)
    return made


_native = _copy_of_thread()

ARE_REAL = isinstance(_native.start_new_thread, BuiltinFunctionType)
"""Whether threads can be had here; else `Thread.start` raises RuntimeError."""


def make_lock() -> threading.Lock:
    """A lock. A thread that holds it must not wait for another greenlet."""
    lock: threading.Lock = _native.allocate_lock()
    return lock


def thread_ident() -> int:
    """The number of the running thread, the same for all of its greenlets."""
    ident: int = _native.get_ident()
    return ident


def thread_id() -> int:
    """The number that the system has for the running thread."""
    number: int = _native.get_native_id()
    return number


def thread_bytes() -> int:
    """The address space that a thread takes, with its stack."""
    stack = stack_bytes() or _STACK_BYTES
    size: int = max(stack, _native.stack_size()) + ARENA_BYTES
    return size


def check_space(size: int) -> None:
    """Raise MemoryError where so much more address space cannot be had. It is not touched."""
    try:
        mmap.mmap(-1, size, **PRIVATE_MEMORY).close()
    except OSError as error:
        raise MemoryError(f"less than {size:,} bytes of memory: {error}") from None


class Event:
    """What happens once; also in a signal handler."""

    def __init__(self) -> None:
        self._lock = make_lock()
        self._lock.acquire()
        self._is_set = False

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._is_set

    def set(self) -> None:
        """Wake all who wait."""
        self._is_set = True
        with contextlib.suppress(RuntimeError):  # the lock is free: it had been set
            self._lock.release()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for it; whether it has happened. Stops all greenlets of this thread."""
        timeout_s = -1 if timeout_s is None else max(0.0, timeout_s)
        if not self._is_set and self._lock.acquire(timeout=timeout_s):
            self.set()
        return self._is_set


class Thread:
    """A daemon thread. `threading` does not know it, and so no patch does.

    At exit it is cut short unless it `is_left`: which is for a thread that may stay in a call of
    the system's, as in the look-up of a name, and calls nothing that is written in C++. It blocks
    all signals, and so do the threads and processes that it starts, unless it `takes_signals`.
    """

    def __init__(
        self,
        target: Callable[[], None],
        name: str,
        *,
        is_left: bool = False,
        takes_signals: bool = False,
    ) -> None:
        self._target: Callable[[], None] | None = target
        self.name = name
        self.is_left = is_left
        self.takes_signals = takes_signals
        self._ident = 0
        self._pid = 0
        self._cut_s = -math.inf
        self._started, self._ended = False, Event()
        self._end = make_lock()
        """Held to end, and to cut: a number of a thread that has ended may be another one's."""

    def start(self) -> None:
        """Start. Raises RuntimeError where no thread can be started, and at exit.

        Raises MemoryError where its first call would find no memory, which Python says on stderr.
        """
        if _exiting.is_set() or not ARE_REAL:
            raise RuntimeError("no thread can be started")
        check_space(thread_bytes())
        self._started, self._pid = True, os.getpid()
        _running.add(self)
        try:
            with contextlib.nullcontext() if self.takes_signals else _blocked_signals():
                _native.start_new_thread(self._run, ())
        except BaseException:
            self._started = False
            _running.discard(self)
            raise

    @property
    def has_begun(self) -> bool:
        """Whether it ever ran. One that found no memory for its first call never does."""
        return self._ident != 0

    def is_alive(self) -> bool:
        """Whether it has been started, and not ended; in this process, however it was forked."""
        return self._started and not self._ended.is_set() and self._pid == os.getpid()

    def is_current(self) -> bool:
        """Whether this is the thread that asks."""
        return self._ident == thread_ident() and self.is_alive()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for its end; whether it is there. Stops all greenlets of this thread."""
        return not self.is_alive() or self._ended.wait(timeout_s)

    def cut(self) -> None:
        """Raise `Cut` in the thread as soon as it runs code of Python, and let it tidy up."""
        with self._end:
            if self._ident and self.is_alive() and monotonic() - self._cut_s > _CUT_AGAIN_S:
                self._cut_s = monotonic()
                ident, error = ctypes.c_ulong(self._ident), ctypes.py_object(Cut)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, error)

    def _run(self) -> None:
        """Work, and note the end, whatever another thread raises in this one meanwhile."""
        self._ident = thread_ident()
        while not self._ended.is_set():
            with contextlib.suppress(BaseException):
                self._work()
                self._note_end()

    def _work(self) -> None:
        """Call the target, once; what it held is gone when this has returned or was cut."""
        target, self._target = self._target, None
        if target is None:
            return
        _show_name(self.name)
        try:
            target()
        except Exception as error:  # noqa: BLE001 - as `threading` does
            told = (type(error), error, error.__traceback__, None)
            threading.excepthook(threading.ExceptHookArgs(told))

    def _note_end(self) -> None:
        _running.discard(self)
        with self._end:
            self._ended.set()


class Cut(BaseException):
    """Ends a thread that has no more time. Not to be caught, but to tidy up at once."""


_running: set[Thread] = set()
_exiting = Event()


def is_own() -> bool:
    """Whether this is a thread of ours, not one of the host's."""
    return any(thread.is_current() for thread in tuple(_running))


def running() -> list[str]:
    """The names of all threads that have been started, and have not ended."""
    return [thread.name for thread in tuple(_running)]


@contextlib.contextmanager
def _blocked_signals() -> Iterator[None]:
    """Have a thread that is started here leave signals to those of the host.

    One that blocks a signal takes it by `sigwait` or a descriptor; where another thread does not
    block it, the kernel would take its default there.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _show_name(name: str) -> None:
    """Have `top -H` show a thread's name, where the system is Linux."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).prctl(_SET_NAME, name.encode(), 0, 0, 0)


def _end_all() -> None:
    """At exit: return when no thread of ours can come back from C++ any more."""
    _exiting.set()
    hook = sys.unraisablehook
    sys.unraisablehook = lambda error: None if error.exc_type is Cut else hook(error)
    try:
        _cut_all()
    finally:
        sys.unraisablehook = hook


def _cut_all() -> None:
    """Cut all threads short, again where a finalizer of the host's, on such a thread, ate it."""
    end_s = monotonic() + _LONGEST_EXIT_S
    for thread in tuple(_running):
        is_met = thread.has_begun and not thread.is_left
        while is_met and not thread.join(_LOOK_S) and monotonic() < end_s:
            thread.cut()


def _after_fork() -> None:
    """In the child: the threads are the parent's."""
    _running.clear()


after_fork(_after_fork)
atexit.register(_end_all)
