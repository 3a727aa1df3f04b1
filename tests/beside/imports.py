"""What is imported from a moment on: by which thread, and from where."""

from __future__ import annotations

import sys
import threading
import traceback
from dataclasses import dataclass


@dataclass(frozen=True)
class Import:
    """A module that was looked for; `thread` by its name, `by` the innermost lines of code.

    `is_late` is one of those that an agent imports with its first subscription, at that moment.
    """

    module: str
    thread: str
    by: tuple[str, ...]
    is_late: bool

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]


class Imports:
    """A finder that finds nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.seen: list[Import] = []

    def find_spec(self, name: str, *_: object) -> None:
        frames = [f for f in traceback.extract_stack()[:-1] if "importlib" not in f.filename]
        by = tuple(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-12:])
        is_late = any(f.filename.endswith("/publish_agent/runtime/late_imports.py") for f in frames)
        self.seen.append(Import(name, threading.current_thread().name, by, is_late))

    def watch(self) -> None:
        sys.meta_path.insert(0, self)  # type: ignore[arg-type]
