"""Modules of the standard library with sockets of the system's, whatever has been patched.

gevent and eventlet replace the attributes of `socket` and `ssl`, and who imports these gets what
belongs to the greenlets of one thread. A thread of our own uses other copies of these modules,
which import each other, and which no patch finds.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import InspectLoader
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

_COPIED = frozenset({"socket", "ssl", "http.client"})


def native_module(name: str) -> Any:
    """The copy of one of these modules: `socket`, `ssl`, `http.client`."""
    assert name in _COPIED
    own = f"{__name__}.{name}"
    if own in sys.modules:
        return sys.modules[own]
    spec = find_spec(name)
    assert spec is not None
    assert isinstance(spec.loader, InspectLoader)
    code = spec.loader.get_code(name)
    assert code is not None
    made = module_from_spec(spec)
    made.__name__ = own  # by which it looks itself up
    vars(made)["__builtins__"] = vars(builtins) | {"__import__": _import}
    sys.modules[own] = made
    try:
        exec(code, vars(made))  # noqa: S102 - the standard library
    except BaseException:
        del sys.modules[own]
        raise
    return made


def _import(
    name: str,
    globals: Mapping[str, object] | None = None,  # noqa: A002 - as `__import__` has it
    locals: Mapping[str, object] | None = None,  # noqa: A002
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """What the statement `import` does in these copies."""
    if level == 0 and name in _COPIED:
        copied: ModuleType = native_module(name)
        return copied
    return builtins.__import__(name, globals, locals, fromlist or (), level)
