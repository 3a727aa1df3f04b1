"""The JSON text of what holds nothing but exact JSON types, and no code of a value's own.

msgspec borrows what it walks through. Code that runs meanwhile (a time zone written in Python, a
property, a signal's handler, a finalizer) may change a list or a dict, or another thread may, and
msgspec reads what has been freed. So compiled code (`plain.c`) looks first, and lets nothing run
between its look and msgspec's walk. What it lets by is of exact types, and `LEVELS` deep at most.
"""

from __future__ import annotations

import codecs
import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec

from mql.host.compiled import agrees, load

LIBRARY = Path(__file__).with_name("_compiled.so")
"""Where the build puts what it has compiled."""

LEVELS = 32
"""Levels of nesting that are walked through at once: the stack of a thread may be small."""
MAX_VALUES = 1_000_000
"""Values and elements that are looked through."""
MAX_CHARACTERS = 1 << 24
"""What their texts may have together."""

CONSTANTS = {"READS_OBJECTS": 1, "WRITER_ITEMS": 7, "LEVELS": LEVELS}
"""What the compiled code has to agree with."""

Writer = Callable[[object], bytes]
"""Gives the JSON text of a value."""

write: Writer = msgspec.json.Encoder().encode
"""The text of what is plain, or of what nothing else refers to, and `LEVELS` deep at most."""


@cache
def library() -> ctypes.PyDLL | None:
    """The compiled code, or None where it was not built, or cannot be used."""
    loaded = load(ctypes.PyDLL, LIBRARY)
    if loaded is None or not agrees(loaded, "constants_of_plain", CONSTANTS):
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
    made: Writer | None = compiled.make_writer(
        (
            write,
            otherwise,
            codecs.strict_errors,
            "".isascii,
            objects_only,
            MAX_VALUES,
            MAX_CHARACTERS,
        )
    )
    return made or otherwise
