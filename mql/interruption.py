"""Whether an exception is a signal's: then it goes on to whom it is meant for.

Code that a value brings along may raise anything: that is the value's, and stays inside. A
signal's handler, or Ctrl-C, may strike in the middle of such code: that is the program's.
"""

from __future__ import annotations

import inspect
import signal
from functools import partial
from opcode import opmap
from types import FrameType, FunctionType, MethodType, TracebackType

_RAISE = opmap["RAISE_VARARGS"]
_FRAMES = 1_000
"""Frames of a traceback that are looked at."""
_trace_of = BaseException.__dict__["__traceback__"].__get__


def pass_on(error: BaseException) -> None:
    """Raise an exception again if a signal's handler did raise it."""
    if is_interruption(error):
        raise error


def is_interruption(error: BaseException) -> bool:
    """Whether a signal's handler raised it, or Ctrl-C did, and no `raise` of other code.

    A handler is what the program has registered as one, or what was called with the frame that it
    has interrupted.
    """
    trace: TracebackType | None = _trace_of(error)
    is_ctrl_c = type(error) is KeyboardInterrupt
    if trace is None:
        return is_ctrl_c
    handlers = _handlers()
    for _ in range(_FRAMES):
        if id(trace.tb_frame.f_code) in handlers or _is_of_handler(trace.tb_frame):
            return True
        if trace.tb_next is None:
            break
        trace = trace.tb_next
    return is_ctrl_c and trace.tb_frame.f_code.co_code[trace.tb_lasti] != _RAISE


def _handlers() -> set[int]:
    """The functions that signals call now: the identities of their code, which may have no hash."""
    registered = map(signal.getsignal, signal.valid_signals())
    return {id(function.__code__) for each in registered if (function := _function_of(each))}


def _function_of(handler: object) -> FunctionType | None:
    """The function that a call of a handler runs, where its type says which."""
    if type(handler) is partial:
        handler = handler.func
    if type(handler) is MethodType:
        handler = handler.__func__
    if not isinstance(handler, FunctionType):
        handler = type(handler).__dict__.get("__call__")
    return handler if type(handler) is FunctionType else None


def _is_of_handler(frame: FrameType) -> bool:
    code, interrupted = frame.f_code, frame.f_back
    if interrupted is None or not code.co_flags & inspect.CO_OPTIMIZED:
        return False
    has_more = bool(code.co_flags & inspect.CO_VARARGS)
    number = code.co_argcount + code.co_kwonlyargcount + has_more
    if code.co_argcount + 2 * has_more < 2:  # noqa: PLR2004 - the signal and the frame
        return False
    names, known = code.co_varnames[:number], frame.f_locals
    given = [known.get(name) for name in names]
    more = given[-1] if has_more else None
    if type(more) is tuple:
        given += more
    return any(each is interrupted for each in given)
