"""NumPy's types, for as long as nothing has imported NumPy: there are no values of them then.

NumPy weighs 20 MB and starts threads. A service that has no use for it gets it with the first
query only, and `publish` asks of no value whether it is NumPy's before that.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any


class _Nothing:
    """The type of no value."""


@dataclass(frozen=True, slots=True)
class ArrayTypes:
    """`numpy.ndarray`, `numpy.generic` and `numpy.void`, or types that no value has."""

    ndarray: Any = _Nothing
    generic: Any = _Nothing
    void: Any = _Nothing


_ABSENT = ArrayTypes()
_NAMES = ("ndarray", "generic", "void")

_found = _ABSENT


def array_types() -> ArrayTypes:
    """The types. Imports nothing; another thread may import NumPy at this moment."""
    global _found  # noqa: PLW0603 - looked up once
    if _found is _ABSENT and (numpy := sys.modules.get("numpy")) is not None:
        namespace = vars(numpy)
        if all(name in namespace for name in _NAMES):
            _found = ArrayTypes(*(namespace[name] for name in _NAMES))
    return _found
