"""Where output goes: standard output, or a file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol


class Stream(Protocol):
    """Takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take them all."""

    def flush(self) -> None:
        """Pass them on now."""


@dataclass(frozen=True, slots=True)
class Destination:
    """An open place for output. `is_terminal`: a person reads along."""

    stream: Stream
    is_terminal: bool = False
    encoding: str = "utf-8"

    @property
    def width(self) -> int | None:
        """Columns of the terminal at this moment; None where lines may be of any length."""
        return shutil.get_terminal_size().columns if self.is_terminal else None

    @property
    def styled(self) -> bool:
        """Whether bold and colors are welcome (https://no-color.org)."""
        return self.is_terminal and not os.environ.get("NO_COLOR")

    def write_text(self, text: str) -> None:
        """Write printable text; what the terminal's encoding lacks becomes `?`."""
        self.stream.write(text.encode(self.encoding, "replace"))
        self.stream.flush()


class TerminalSafe:
    """Spells out, as JSON does in strings, what is no visible character, on its way to a terminal.

    Machine formats carry values as they are; on a terminal, they would be obeyed.
    """

    _CONTROL = re.compile(
        rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f\xad]|\xd8\x9c|\xe2\x80[\x8b-\x8f\xa8-\xae]"
        rb"|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf|\xf3\xa0[\x80\x81][\x80-\xbf]"
    )

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def write(self, data: bytes, /) -> object:
        """Write the harmless version."""
        return self._stream.write(self._CONTROL.sub(self._spelled, data))

    def flush(self) -> None:
        """Pass on."""
        self._stream.flush()

    @staticmethod
    def _spelled(match: re.Match[bytes]) -> bytes:
        units = match[0].decode().encode("utf-16-be")
        return b"".join(b"\\u" + units[i : i + 2].hex().encode() for i in range(0, len(units), 2))


def stdout_is_terminal() -> bool:
    """Whether a person reads standard output."""
    return sys.stdout.isatty()


def standard_output() -> Destination:
    """Standard output, through a buffer of our own.

    Python's has none under PYTHONUNBUFFERED, and would then write only a part when a signal comes.
    """
    stream: BinaryIO = sys.stdout.buffer
    with contextlib.suppress(io.UnsupportedOperation):
        stream = open(sys.stdout.fileno(), "wb", closefd=False)  # noqa: SIM115 - stays open
    return Destination(stream, stdout_is_terminal(), sys.stdout.encoding or "utf-8")


@contextlib.contextmanager
def open_destination(path: Path | None) -> Iterator[Destination]:
    """Standard output, or `path`, which is replaced when the block ends without an error."""
    if path is None:
        screen = standard_output()
        yield screen
        screen.stream.flush()
    elif path.exists() and not path.is_file():
        # A device or a named pipe is written to, not replaced.
        with path.open("wb") as file:
            yield Destination(file)
    else:
        with _replacing(path) as file:
            yield Destination(file)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    # Beside the target of a symbolic link, so that the link stays and the rename is atomic.
    target = path.resolve()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        file = part.open("wb")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
