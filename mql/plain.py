"""The JSON text of what holds nothing but exact JSON types, and no code of a value's own.

msgspec borrows what it walks through. Code that runs meanwhile (a time zone written in Python, a
property, a signal's handler, a finalizer) may change a list or a dict, or another thread may, and
msgspec reads what has been freed. So compiled code (`plain.c`) looks first, and lets nothing run
between its look and msgspec's walk. What it lets by is of exact types, and `LEVELS` deep at most.
"""

from __future__ import annotations

import codecs
import ctypes
import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec

LIBRARY = Path(__file__).with_name("_compiled.so")
"""Where the build puts what it has compiled."""

LEVELS = 32
"""Levels of nesting that are walked through at once: the stack of a thread may be small."""
MAX_VALUES = 1_000_000
"""Values and elements that are looked through."""
MAX_CHARACTERS = 1 << 24
"""What their texts may have together."""

Writer = Callable[[object], bytes]
"""Gives the JSON text of a value."""

write: Writer = msgspec.json.Encoder().encode
"""The text of what is plain, or of what nothing else refers to, and `LEVELS` deep at most."""


@cache
def library() -> ctypes.PyDLL | None:
    """The compiled code, or None where it was not built, or cannot be used."""
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return None
    try:
        loaded = ctypes.PyDLL(str(LIBRARY))
    except OSError:
        return None
    loaded.make_writer.argtypes = (ctypes.py_object,)
    loaded.make_writer.restype = ctypes.py_object
    return loaded


def writer(otherwise: Writer, *, objects_only: bool = False) -> Writer:
    """What writes plain values at once, or plain objects, and has all else written otherwise.

    >>> writer(lambda value: b"odd")({"a": [1, 2.0, None]}), writer(lambda value: b"odd")({1})
    (b'{"a":[1,2.0,null]}', b'odd')
    """
    compiled = library()
    if compiled is None:
        return otherwise
    limits = LEVELS, MAX_VALUES, MAX_CHARACTERS
    made: Writer | None = compiled.make_writer(
        (write, otherwise, codecs.strict_errors, "".isascii, objects_only, *limits)
    )
    return made or otherwise
