"""Compiled code, loaded if it was built of the same sources as the Python beside it.

Sizes, layouts and numbers of kinds are written down twice, in C and in Python. Each library exports
its own by name. A library that lacks one of those that Python has, or has another number for it, is
not used: what it would do is done in Python, and one line in the log names what differs.
"""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

Constants = Mapping[str, int]

_Library = TypeVar("_Library", bound=ctypes.CDLL)

_NAMED = 3
"""Differences that are named in the log."""

_READS_OBJECTS = sys.implementation.name == "cpython" and "free-threading" not in sys.version
"""`sysconfig` would know it, too, from a module of a megabyte."""

_log = logging.getLogger("mql")


class _Constant(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("value", ctypes.c_int64))


def load(loader: type[_Library], path: Path) -> _Library | None:
    """The library, or None where it was not built or is of another platform.

    One that reads Python's objects (a `PyDLL`) is for CPython, and not for builds without a GIL.
    """
    if issubclass(loader, ctypes.PyDLL) and not _READS_OBJECTS:
        return None
    try:
        return loader(str(path))
    except OSError:
        return None


def agrees(library: ctypes.CDLL, table: str, expected: Constants) -> bool:
    """Whether a table of the library has these constants; the log says so if it has not."""
    try:
        found = constants_of(library, table)
    except AttributeError:
        found = {}
    differing = [
        f"{name} is {found.get(name, 'missing')} and not {value}"
        for name, value in expected.items()
        if found.get(name) != value
    ]
    if differing:
        _log.warning(
            "%s is not used, and Python does its work: it was built of other sources (%s: %s); "
            "install the package again to build it",
            library._name,  # noqa: SLF001 - the path that was given
            table,
            ", ".join(differing[:_NAMED]),
        )
    return not differing


def layout(name: str, structure: type[ctypes.Structure]) -> Constants:
    """The size of a structure, and where each of its fields is, as a library exports them."""
    fields = (field[0] for field in structure._fields_)
    places = {f"{name}.{field}": getattr(structure, field).offset for field in fields}
    return {name: ctypes.sizeof(structure), **places}


def constants_of(library: ctypes.CDLL, table: str) -> Constants:
    """The constants of a table, which ends with a name that is NULL."""
    function = getattr(library, table)
    function.argtypes, function.restype = (), ctypes.POINTER(_Constant)
    constants, found = function(), {}
    for each in constants:
        if each.name is None:
            break
        found[each.name.decode()] = each.value
    return found
