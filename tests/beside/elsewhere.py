"""A service on a system without forks, limits of resources and the rest that only Unix has.

    python -m tests.beside.elsewhere ADDRESS

It publishes until its standard input ends, without compiled code, as the wheel for all platforms.
"""

from __future__ import annotations

import _socket
import importlib.abc
import importlib.machinery
import mmap
import os
import sys

UNIX = {"resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "posix_ipc", "syslog"}
NAMES = {
    os: ["register_at_fork", "fork", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "geteuid", "getuid"],
    mmap: ["MAP_PRIVATE", "MAP_ANONYMOUS", "MAP_SHARED", "MAP_ANON"],
}


class Absent(importlib.abc.MetaPathFinder):
    """Says of Unix's modules that there are none."""

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        """Raise ImportError for one of them."""
        if name in UNIX or name.endswith("._compiled"):
            raise ModuleNotFoundError(name)
        return None


def leave_unix() -> None:
    """Take away what other systems do not have."""
    del _socket.socketpair
    sys.modules.pop("socket", None)  # without that it makes a pair of two connections
    import ctypes

    import zmq  # noqa: F401 - its own way is its own

    for name in UNIX:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, Absent())
    for module, names in NAMES.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    ctypes.PyDLL.__init__ = _no_library  # type: ignore[method-assign]


def _no_library(*_: object, **__: object) -> None:
    raise OSError("nothing is compiled for this system")


def main() -> None:
    """Publish."""
    leave_unix()
    from publish_agent import Agent

    agent = Agent("elsewhere", sys.argv[1])
    publish = agent.stream("requests").publish
    for number, _ in enumerate(iter(sys.stdin.readline, "")):
        publish({"number": number})
        sys.stdout.write("published\n")
        sys.stdout.flush()
    agent.close()


if __name__ == "__main__":
    main()
