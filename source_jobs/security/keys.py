"""CURVE keys in files, as zmq.auth writes and reads them.

`NAME.key` holds the public key and may be given to anybody; `NAME.key_secret` holds both, and
nobody but its owner can read it. Every problem is a ValueError that names the file.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import zmq
from zmq.utils import z85

from mql.host.key_files import NoKeyError, read_key_file

PUBLIC, SECRET = ".key", ".key_secret"

_NAME = re.compile(r"[\w@][\w.@-]*")
_KEY_CHARACTERS = 40
_HEADER = "#   ZeroMQ CURVE {kind} certificate of mql\n{advice}\nmetadata\ncurve\n"
_ADVICE = {
    "public": "#   Give it to whom you want to talk to.",
    "secret": "#   Keep it to yourself: do not copy it, do not change its permissions.",
}


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key and its public half, as 40 characters of Z85."""

    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        """The public half only."""
        return f"KeyPair(public={self.public!r})"


def make_keys(name: str, directory: Path) -> tuple[Path, Path]:
    """Make a pair of keys; the files of the public and of the secret one.

    Raises ValueError, also where one of the files is there already, and OSError if they cannot be
    written; then none is left.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a key: letters, digits and . _ - @ can")
    files = directory / f"{name}{PUBLIC}", directory / f"{name}{SECRET}"
    for file in files:
        if file.exists():
            raise ValueError(f"{file} is there already; keys are never overwritten")
    public, secret = (key.decode("ascii") for key in zmq.curve_keypair())
    directory.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    try:
        for file, kind, keys in (
            (files[1], "secret", f'    public-key = "{public}"\n    secret-key = "{secret}"\n'),
            (files[0], "public", f'    public-key = "{public}"\n'),
        ):
            _write(file, kind, keys, made)
    except OSError as error:
        for file in made:
            file.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(error.filename or made[-1])) from None
    return files


def load_pair(file: str | Path) -> KeyPair:
    """The keys of a `.key_secret` file. Raises ValueError."""
    public, secret = _load(file)
    if secret is None:
        raise ValueError(f"{file} holds a public key only; its secret half is in *{SECRET}")
    if zmq.curve_public(secret) != public:
        raise ValueError(f"{file}: its public key is not that of its secret one")
    return KeyPair(public, secret)


def load_public(file_or_key: str | Path) -> bytes:
    """The public key of a file, or that is written out in 40 characters. Raises ValueError."""
    text = str(file_or_key)
    if len(text) == _KEY_CHARACTERS and not Path(text).exists():
        return _checked(text.encode("ascii", "replace"), "the key")
    return _load(file_or_key)[0]


def _load(file: str | Path) -> tuple[bytes, bytes | None]:
    try:
        public, secret = read_key_file(file)
    except NoKeyError:
        raise ValueError(f"{file} holds no key; make one with `mql keygen`") from None
    except ValueError as error:
        raise ValueError(f"cannot read the key {file}: {error}") from None
    return _checked(public, str(file)), None if secret is None else _checked(secret, str(file))


def _checked(key: bytes, where: str) -> bytes:
    """The key, if it is one of 40 characters of Z85. Raises ValueError."""
    try:
        if len(key) == _KEY_CHARACTERS and len(z85.decode(key)) == 32:  # noqa: PLR2004
            return key
    except (KeyError, ValueError):
        pass
    raise ValueError(f"{where}: not a key of {_KEY_CHARACTERS} characters")


def _write(file: Path, kind: str, keys: str, made: list[Path]) -> None:
    """Write a file that was not there; a secret one is its owner's alone from the start.

    It is in `made` as soon as it is there, whole or not.
    """
    mode = 0o600 if kind == "secret" else 0o644
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    made.append(file)
    with os.fdopen(descriptor, "w", encoding="ascii") as opened:
        opened.write(_HEADER.format(kind=kind, advice=_ADVICE[kind]) + keys)
