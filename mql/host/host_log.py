"""Log lines from threads of our own, which never wait for what handlers of the host do.

A handler may block. Under gevent or eventlet its locks and sockets belong to the greenlets of one
thread, and another thread that meets them hangs, or breaks their loop. So a line is written where
the host would have written it: in a thread for lines, or in a greenlet of the main thread.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import logging
from collections import deque
from types import BuiltinFunctionType

from mql.host.native_threads import Thread
from mql.host.system import after_fork

_WAITING_MAX = 100
"""Lines that wait to be written; the oldest is given up for a further one."""

_Line = tuple[logging.Logger, int, str, tuple[object, ...], BaseException | None]
_waiting: deque[_Line] = deque(maxlen=_WAITING_MAX)


def log_apart(
    logger: logging.Logger,
    level: int,
    message: str,
    *arguments: object,
    error: BaseException | None = None,
) -> None:
    """Log a line as soon as the host can, with an error's traceback. Never waits, never raises."""
    _waiting.append((logger, level, message, arguments, error))
    if not isinstance(_thread.start_new_thread, BuiltinFunctionType):
        ctypes.pythonapi.Py_AddPendingCall(_pending_call, None)
        return
    try:
        Thread(_log_all, "mql-log", is_left=True, takes_signals=True).start()
    except (RuntimeError, MemoryError):  # there are no more threads: what the line may be about
        _log_all()


def _log_all() -> None:
    with contextlib.suppress(IndexError):  # all are written
        while True:
            logger, level, message, arguments, error = _waiting.popleft()
            with contextlib.suppress(Exception):  # of a filter of the host
                logger.log(level, message, *arguments, exc_info=error)


def _log_in_greenlet(_nothing: object) -> int:
    """Between two steps of whatever the main thread does: have a greenlet log, later."""
    with contextlib.suppress(Exception):
        _thread.start_new_thread(_log_all, ())
    return 0


_pending_call = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(_log_in_greenlet)
after_fork(_waiting.clear)
