"""Who may come in: directories of public keys, read anew when they change.

A file that holds no key lets nobody in and shuts nobody out; a directory that cannot be read lets
nobody in. Where the process is short of descriptors or memory the list stays as it was. Neither a
pipe, a folder nor a file that never ends is waited for.
"""

from __future__ import annotations

import logging
import os
import time
from itertools import islice
from pathlib import Path

from mql.host.key_files import NO_ROOM, NoFileError, NoRoomError, read_key_file
from source_jobs.security.keys import PUBLIC

_FILES_MAX = 20_000
"""Of the further files in a directory none is looked at."""
_TOLD_MAX = 100
"""Keys that were refused, and of which the log says so; it forgets those that are let in."""
_PAUSE_S = 60.0
"""Between two lines about how often further keys were refused."""

_log = logging.getLogger("source_jobs")
_File = tuple[str, int, int, int]
_Stamp = tuple[_File, ...]


class AllowList:
    """The public keys (40 characters of Z85) in a directory.

    ZeroMQ's thread asks `callback`; the thread of the source job calls `refresh`. Making one
    raises ValueError for a file without a key; nothing later raises.
    """

    def __init__(self, directory: str | Path) -> None:
        self._directory = Path(directory)
        self._stamp = self._look()
        self.keys: frozenset[bytes] = self._read(strict=True)
        self._refused: dict[bytes, bool] = {}
        self._untold = 0
        self._tell_s = self._tell_room_s = 0.0

    def refresh(self) -> bool:
        """Read the directory anew if it has changed; whether somebody is shut out by that."""
        before, stamped = self.keys, self._stamp
        try:
            self._stamp = self._look()
            if self._stamp == stamped:
                return False
            self.keys = self._read()
        except NoRoomError as error:
            self._stamp = stamped
            self._tell_of_no_room(error)
            return False
        for key in [key for key in list(self._refused) if key in self.keys]:
            del self._refused[key]
        return not before <= self.keys

    def callback(self, domain: str, key: bytes) -> bool:  # noqa: ARG002 - as zmq.auth calls it
        """Whether the owner of a key may come in, whatever the domain."""
        if key in self.keys:
            return True
        if key not in self._refused:
            if len(self._refused) < _TOLD_MAX:
                self._refused[key] = False
            else:
                self._untold += 1
        return False

    def tell(self) -> None:
        """Log whose keys were refused: each once, since a peer tries again and again."""
        for key, told in list(self._refused.items()):
            if not told:
                self._refused[key] = True
                shown = key.decode("ascii", "replace")
                _log.warning("refused by key: %s is not in %s", shown, self._directory)
        now_s = time.monotonic()
        if self._untold and now_s >= self._tell_s:
            self._tell_s = now_s + _PAUSE_S
            untold, self._untold = self._untold, 0
            _log.warning("refused by key: %d more times, not in %s", untold, self._directory)

    def _tell_of_no_room(self, error: NoRoomError) -> None:
        now_s = time.monotonic()
        if now_s >= self._tell_room_s:
            self._tell_room_s = now_s + _PAUSE_S
            _log.error("the allow-list %s stays as it was: %s", self._directory, error)

    def _look(self) -> _Stamp:
        """Changes when a file does. Where one vanishes meanwhile, the next look tells.

        Raises NoRoomError.
        """
        try:
            with os.scandir(self._directory) as entries:
                named = (entry for entry in entries if entry.name.endswith(PUBLIC))
                files = [_stamp(entry) for entry in islice(named, _FILES_MAX)]
        except OSError as error:
            if error.errno in NO_ROOM:
                raise NoRoomError(os.strerror(error.errno)) from None
            _log.error("nobody is let in: cannot read the allow-list: %s", error)
            return ()
        return tuple(sorted(file for file in files if file is not None))

    def _read(self, *, strict: bool = False) -> frozenset[bytes]:
        keys = set()
        for name, *_ in self._stamp:
            try:
                keys.add(read_key_file(self._directory / name)[0])
            except NoRoomError:
                raise
            except ValueError as error:
                if strict and not isinstance(error, NoFileError):
                    raise ValueError(f"{self._directory / name} holds no key: {error}") from None
                _log.warning("%s lets nobody in: %s", self._directory / name, error)
        return frozenset(keys)


def _stamp(entry: os.DirEntry[str]) -> _File | None:
    """Changes when a file does; None if it has just gone, or is a link to nothing."""
    try:
        about = entry.stat()
    except OSError:
        return None
    return entry.name, about.st_ino, about.st_size, about.st_mtime_ns
