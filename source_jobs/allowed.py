"""Who may come in: directories of public keys, read anew when they change.

A file that holds no key lets nobody in and shuts nobody out; a directory that cannot be read lets
nobody in.
"""

from __future__ import annotations

import logging
from pathlib import Path

import zmq.auth

from source_jobs.keys import PUBLIC

_log = logging.getLogger(__name__)
_Stamp = tuple[tuple[str, int, int, int], ...]


class AllowList:
    """The public keys (40 characters of Z85) in a directory.

    ZeroMQ's thread asks `callback`; the thread of the source job calls `refresh`. Making one
    raises ValueError for a file without a key; nothing later raises.
    """

    def __init__(self, directory: str | Path) -> None:
        self._directory = Path(directory)
        self._stamp = self._look()
        self.keys: frozenset[bytes] = self._read(strict=True)

    def refresh(self) -> bool:
        """Read the directory anew if it has changed; whether somebody is shut out by that."""
        stamp = self._look()
        if stamp == self._stamp:
            return False
        before, self._stamp = self.keys, stamp
        self.keys = self._read()
        return not before <= self.keys

    def callback(self, domain: str, key: bytes) -> bool:  # noqa: ARG002 - as zmq.auth calls it
        """Whether the owner of a key may come in."""
        return key in self.keys

    def _look(self) -> _Stamp:
        """Changes when a file does. Where one vanishes meanwhile, the next look tells."""
        try:
            found = [(file, file.stat()) for file in self._directory.iterdir()]
        except OSError as error:
            _log.error("nobody is let in: cannot read the allow-list: %s", error)
            return ()
        files = ((f.name, s.st_ino, s.st_size, s.st_mtime_ns) for f, s in found)
        return tuple(sorted(file for file in files if file[0].endswith(PUBLIC)))

    def _read(self, *, strict: bool = False) -> frozenset[bytes]:
        keys = set()
        for name, *_ in self._stamp:
            try:
                keys.add(zmq.auth.load_certificate(self._directory / name)[0])
            except (OSError, ValueError) as error:
                if strict:
                    raise ValueError(f"{self._directory / name} holds no key: {error}") from None
                _log.warning("%s lets nobody in: %s", self._directory / name, error)
        return frozenset(keys)
