"""The file of tokens: read again whenever it changes, written whole, readable by its owner only."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from source_jobs.api.auth.tokens import TokenBook

_log = logging.getLogger("source_jobs")
_Stamp = tuple[int, int, int]
_BYTES_MAX = 4 << 20


class TokenFile:
    """Tokens on disk. A file that cannot be read, or no longer, lets nobody in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: _Stamp | None = None
        self._book = TokenBook()

    def load(self) -> TokenBook:
        """All tokens, from the file. Raises ValueError if there are none to be had."""
        try:
            found = self.path.stat()
            if not stat.S_ISREG(found.st_mode) or found.st_size > _BYTES_MAX:
                raise ValueError(f"{self.path} is no file of tokens, or too large for one")
            return msgspec.json.decode(self.path.read_bytes(), type=TokenBook)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ValueError(f"cannot read the tokens in {self.path}: {reason}") from None
        except msgspec.MsgspecError as error:
            raise ValueError(f"{self.path} is no file of tokens: {error}") from None

    def current(self) -> TokenBook:
        """All tokens as of now: a token that is revoked is refused with the next request."""
        stamp = self._stat()
        if stamp != self._stamp:
            try:
                self._book = self.load()
            except ValueError as error:
                self._book = TokenBook()
                _log.error("nobody is let in: %s", error)
            self._stamp = stamp
        return self._book

    def change(self, change: Callable[[TokenBook], TokenBook]) -> None:
        """Change the tokens, one process after the other. Raises ValueError and OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            book = self.load() if self.path.exists() else TokenBook()
            self._write(change(book))
        finally:
            os.close(lock)

    def _write(self, book: TokenBook) -> None:
        text = msgspec.json.format(msgspec.json.encode(book), indent=2)
        number, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(number, "wb") as file:  # which mkstemp made for its owner alone
                file.write(text + b"\n")
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _stat(self) -> _Stamp | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
