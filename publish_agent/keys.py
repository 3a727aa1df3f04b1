"""CURVE keys: from the files that `mql keygen` writes, or as the forty characters themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import zmq.auth

_PLAIN = re.compile(r"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")


@dataclass(frozen=True, slots=True)
class Keys:
    """The agent's pair of keys, and the source job's public one."""

    public: bytes
    secret: bytes
    server: bytes


def read_keys(key: str, server_key: str) -> Keys:
    """Read the keys. Raises ValueError."""
    secret = _read(key, "key", secret=True)
    try:
        return Keys(zmq.curve_public(secret), secret, _read(server_key, "server_key", secret=False))
    except (zmq.ZMQError, AssertionError, KeyError) as error:
        raise ValueError(f"key: {key!r} holds no CURVE key: {error}") from None


def _read(text: str, what: str, *, secret: bool) -> bytes:
    if _PLAIN.fullmatch(text) and not Path(text).exists():
        return text.encode()
    try:
        public, private = zmq.auth.load_certificate(Path(text).expanduser())
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{what}: {text!r} is no key file as `mql keygen` writes it: {error}"
        ) from None
    found = private if secret else public
    if found is None:
        raise ValueError(f"{what}: {text!r} holds a public key; the secret one is needed")
    return found
