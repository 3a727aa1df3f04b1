"""Where a source job may listen: on this machine alone, unless it has keys and allow-lists."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path

_LOCAL_TRANSPORTS = ("ipc://", "inproc://")


def check_addresses(
    addresses: Sequence[str],
    keys: object | None,
    allowed: Sequence[str | Path | None],
    *,
    insecure: bool,
) -> None:
    """Raise ValueError if anybody might come in who should not."""
    if keys is None:
        if any(directory is not None for directory in allowed):
            raise ValueError("an allow-list needs keys; make some with `mql keygen`")
        open_to_all = [address for address in addresses if not is_local(address)]
        if open_to_all and not insecure:
            raise ValueError(
                f"{open_to_all[0]} can be reached from other machines, and without keys anybody"
                " there could ask for events or invent some; listen at 127.0.0.1, or make keys"
                " with `mql keygen`, or, in a network where you trust everybody, say --insecure"
            )
        return
    if insecure:
        raise ValueError("a source job with keys is not insecure; leave out one of them")
    for what, directory in zip(("agents", "clients"), allowed, strict=True):
        if directory is None:
            reason = f"keys need an allow-list: a directory with the public keys of the {what}"
            raise ValueError(reason)
        if not Path(directory).is_dir():
            raise ValueError(f"the allow-list {directory} is not a directory")


def is_local(address: str) -> bool:
    """Whether an address can be reached from this machine only.

    >>> is_local("tcp://127.0.0.1:7766"), is_local("tcp://*:7766"), is_local("tcp://[::1]:*")
    (True, False, True)
    """
    if address.startswith(_LOCAL_TRANSPORTS):
        return True
    host = address.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
