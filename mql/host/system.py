"""What not every system has: forks, limits of resources, pairs of sockets that no patch reaches."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

try:
    from _socket import socketpair
except ImportError:  # Windows, where it is made of two connections
    from socket import socketpair

_RESOURCE: ModuleType | None
try:
    _RESOURCE = import_module("resource")
except ImportError:  # Windows
    _RESOURCE = None

__all__ = [
    "OPEN_FLAGS", "PRIVATE_MEMORY", "after_fork", "descriptors_max", "socketpair", "stack_bytes",
]  # fmt: skip

OPEN_FLAGS = os.O_RDONLY | sum(
    getattr(os, flag, 0) for flag in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY")
)
"""Flags for opening a file to read; a pipe or a device does not block the call."""

PRIVATE_MEMORY: dict[str, int] = (
    {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
)
"""What `mmap` is told for memory that nobody shares."""


def after_fork(
    in_child: Callable[[], object],
    in_parent: Callable[[], object] | None = None,
    before: Callable[[], object] | None = None,
) -> None:
    """Have functions called around each fork of the process, where processes can be forked."""
    if hasattr(os, "register_at_fork"):
        hooks = {"after_in_child": in_child, "after_in_parent": in_parent, "before": before}
        os.register_at_fork(**{name: hook for name, hook in hooks.items() if hook is not None})


def stack_bytes() -> int | None:
    """The size of a new thread's stack, if there is a limit."""
    return _limit("RLIMIT_STACK")


def descriptors_max() -> int | None:
    """How many files and connections may be open, if there is a limit."""
    return _limit("RLIMIT_NOFILE")


def _limit(name: str) -> int | None:
    if _RESOURCE is None:
        return None
    soft: int = _RESOURCE.getrlimit(getattr(_RESOURCE, name))[0]
    return None if soft == _RESOURCE.RLIM_INFINITY else soft
