"""CURVE keys: from the files that `mql keygen` writes, or as the forty characters themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import zmq

from mql.host.key_files import read_key_file

_PLAIN = re.compile(r"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")


@dataclass(frozen=True, slots=True)
class Keys:
    """The agent's pair of keys, and the source job's public one."""

    public: bytes
    secret: bytes
    server: bytes


def read_keys(key: str, server_key: str) -> Keys:
    """Read the keys. Raises ValueError."""
    written, secret = _read(key, "key")
    if secret is None:
        raise ValueError(f"key: {key!r} holds a public key; the secret one is needed")
    try:
        public = zmq.curve_public(secret)
    except (zmq.ZMQError, AssertionError, KeyError) as error:
        raise ValueError(f"key: {key!r} holds no CURVE key: {error}") from None
    if written not in (secret, public):
        raise ValueError(f"key: {key!r} holds a public key that is not that of its secret one")
    return Keys(public, secret, _read(server_key, "server_key")[0])


def _read(text: str, what: str) -> tuple[bytes, bytes | None]:
    """The public and the secret key of a file; of a key that is written out both are that."""
    if _PLAIN.fullmatch(text) and not Path(text).exists():
        return text.encode(), text.encode()
    try:
        return read_key_file(Path(text).expanduser())
    except ValueError as error:
        raise ValueError(
            f"{what}: {text!r} is no key file as `mql keygen` writes it: {error}"
        ) from None
