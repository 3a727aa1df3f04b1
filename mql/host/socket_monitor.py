"""What a socket's monitor tells. `zmq.utils.monitor` would read it as well, and imports asyncio."""

from __future__ import annotations

import struct
from collections.abc import Sequence

_HEAD = struct.Struct("=Hi")
"""The number of the event and its value; the address is in a frame of its own."""


def event_of(frames: Sequence[bytes]) -> tuple[int, int]:
    r"""An event (`zmq.EVENT_…`) and its value: an error, a code of the protocol, or a descriptor.

    >>> event_of([b"\x00\x10\x00\x00\x00\x00", b"tcp://127.0.0.1:7766"])
    (4096, 0)
    """
    number, value = _HEAD.unpack(frames[0])
    return number, value
