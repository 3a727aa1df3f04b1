"""A wall clock that jumps: Debian's libfaketime under a process, and the file that it reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_PLACES = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime")
_NAMES = ("libfaketimeMT.so.1", "libfaketime.so.1")
SEEN_AFTER_S = 1.0
"""The library looks at its file so often."""


def library() -> Path | None:
    """Where the library is, if it is installed (`apt-get install libfaketime`)."""
    root = Path("/")
    found = (p for place in _PLACES for name in _NAMES for p in root.glob(f"{place[1:]}/{name}"))
    return next(found, None)


@dataclass(frozen=True, slots=True)
class Clock:
    """The wall clock of some processes; the time since they started is left alone."""

    library: Path
    file: Path

    @classmethod
    def create(cls, library: Path, file: Path) -> Clock:
        """A clock that is right."""
        clock = cls(library, file)
        clock.set(0)
        return clock

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process use it."""
        return {
            "LD_PRELOAD": str(self.library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_CACHE_DURATION": str(int(SEEN_AFTER_S)),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds: float) -> None:
        """Have the clock go so far ahead of the true time, or behind it."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{seconds:+f}\n", encoding="ascii")
        fresh.replace(self.file)
