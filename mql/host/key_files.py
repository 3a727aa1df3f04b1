"""Key files, as zmq.auth writes them: read whole, without waiting, and only where they are files.

Every problem is a ValueError that does not name the file: its reader does.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from mql.host.system import OPEN_FLAGS

BYTES_MAX = 64 << 10
"""A longer file holds no key."""

_LINE = re.compile(r"^\s*(public|secret)-key\s*=\s*[\"']?([^\"'\s]{1,200})[\"']?\s*$", re.MULTILINE)
_OTHERS = stat.S_IRWXO
_GROUP = stat.S_IRWXG
_ROOT = 0
NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Errors that say nothing of a file, but of how much else is open."""


class NoKeyError(ValueError):
    """A file that holds no key."""


class NoFileError(ValueError):
    """A pipe, a folder, or a file that is much longer than a key's."""


class NoRoomError(ValueError):
    """There is a lack of descriptors or memory, which says nothing of the file."""


def read_key_file(file: str | Path) -> tuple[bytes, bytes | None]:
    """The public key in a file, and the secret one if it is there.

    Raises ValueError, also for a secret that others than its owner can read, or the group of a
    file that is not root's.
    """
    text, mode, owner = _read(file)
    keys = {name: key.encode() for name, key in _LINE.findall(text)}
    if "public" not in keys:
        raise NoKeyError("it holds no key")
    secret = keys.get("secret")
    if secret is not None:
        _check_mode(mode, owner)
    return keys["public"], secret


def _read(file: str | Path) -> tuple[str, int, int]:
    """A file's text, mode and owner; neither a pipe nor a device is waited for, nor opened."""
    try:
        _check_kind(Path(file).stat())
        descriptor = os.open(file, OPEN_FLAGS)
        try:
            about = os.fstat(descriptor)
            _check_kind(about)  # another one may have taken its place
            content = os.read(descriptor, BYTES_MAX + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise NoRoomError(os.strerror(error.errno)) from None
        raise ValueError(error.strerror or "it cannot be read") from None
    if len(content) > BYTES_MAX:
        raise NoFileError(f"it is longer than {BYTES_MAX:,} bytes")
    return content.decode("utf-8", "replace"), about.st_mode, about.st_uid


def _check_kind(about: os.stat_result) -> None:
    if not stat.S_ISREG(about.st_mode):
        raise NoFileError("it is no regular file")


def _check_mode(mode: int, owner: int) -> None:
    others = mode & _OTHERS or (mode & _GROUP and owner != _ROOT) or mode & stat.S_IWGRP
    if others:
        shown = f"{stat.S_IMODE(mode):03o}"
        raise ValueError(f"others may read its secret key or change it (mode {shown}): chmod 600")
