"""Whether an exception is the program's: then it goes on to whom it is meant for.

Code that a value brings along may raise anything: that is the value's, and stays inside. A
signal's handler, Ctrl-C, another greenlet (a timeout, a kill) or another thread may strike in the
middle of such code: that is the program's.
"""

from __future__ import annotations

import inspect
import signal
import sys
from functools import partial
from opcode import opmap
from types import FrameType, FunctionType, MethodType, TracebackType

_RAISE = opmap["RAISE_VARARGS"]
_RESUME, _JUMP = opmap["RESUME"], opmap["JUMP_BACKWARD"]
"""Where the interpreter looks for what other threads have sent: at a call's begin, and in loops."""
_PLACE = 3
"""Of a `RESUME`'s argument the bits that are 0 at the begin of a call, not after a `yield`."""
_THROWN = (
    ("greenlet", "GreenletExit"),
    ("gevent.timeout", "Timeout"),
    ("eventlet.timeout", "Timeout"),
)
"""Exceptions that one greenlet throws into another."""
_FRAMES = 1_000
"""Frames of a traceback that are looked at."""
_trace_of = BaseException.__dict__["__traceback__"].__get__


def pass_on(error: BaseException) -> None:
    """Raise an exception again if a signal's handler did raise it."""
    if is_interruption(error):
        raise error


def is_interruption(error: BaseException) -> bool:
    """Whether a signal's handler raised it, or it was thrown from outside, and not by a `raise`.

    A handler is what the program has registered as one, or what was called with the frame that it
    has interrupted. Ctrl-C, and what greenlets throw at one another, are known by their types; any
    other exception of another thread by a place where no code raises.
    """
    trace: TracebackType | None = _trace_of(error)
    is_thrown = type(error) is KeyboardInterrupt or _is_of_greenlets(type(error))
    if trace is None:
        return is_thrown
    handlers = _handlers()
    for _ in range(_FRAMES):
        if id(trace.tb_frame.f_code) in handlers or _is_of_handler(trace.tb_frame):
            return True
        if trace.tb_next is None:
            break
        trace = trace.tb_next
    instruction, argument = _instruction(trace)
    was_sent = instruction == _JUMP or (instruction == _RESUME and not argument & _PLACE)
    return was_sent or (is_thrown and instruction != _RAISE)


def _is_of_greenlets(kind: type[BaseException]) -> bool:
    for module, name in _THROWN:
        thrown = getattr(sys.modules.get(module), name, None)
        if thrown is not None and any(each is thrown for each in type.mro(kind)):
            return True
    return False


def _instruction(trace: TracebackType) -> tuple[int, int]:
    """What the innermost frame was at, and its argument; -1 where that is no code of Python."""
    code, place = trace.tb_frame.f_code.co_code, trace.tb_lasti
    return (code[place], code[place + 1]) if 0 <= place < len(code) else (-1, 0)


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
