"""Messages to frames and back.

A message is one or two frames: the protocol's version as one byte and the message as MessagePack;
then its payload, where it has one. Whatever comes from a peer is a message or a `ProtocolError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from mql.wire.messages import PROTOCOL, AgentMessage, ClientMessage, Message, ToAgent, ToClient

MAX_HEADER = 1 << 20
"""A longer first frame (in bytes) is refused."""

MAX_PAYLOAD = 1 << 26
"""A longer payload (in bytes) is refused."""

_VERSION = bytes([PROTOCOL])
_encoder = msgspec.msgpack.Encoder()
_T = TypeVar("_T")


class ProtocolError(Exception):
    """A peer sent what the protocol does not allow: count it, drop the peer, go on."""


def encode(message: Message, payload: bytes | memoryview | None = None) -> list[bytes | memoryview]:
    """The frames of a message."""
    header = _VERSION + _encoder.encode(message)
    return [header] if payload is None else [header, payload]


class Decoder(Generic[_T]):
    """Reads the messages that one kind of peer may send."""

    def __init__(
        self,
        decoder: msgspec.msgpack.Decoder[_T],
        *,
        max_header: int = MAX_HEADER,
        max_payload: int = MAX_PAYLOAD,
    ) -> None:
        self._decoder = decoder
        self._max_header = max_header
        self._max_payload = max_payload

    def decode(self, frames: Sequence[bytes]) -> tuple[_T, bytes]:
        """The message and its payload (empty if it has none). Raises ProtocolError."""
        if not 1 <= len(frames) <= 2:  # noqa: PLR2004 - a header and a payload
            raise ProtocolError(f"{len(frames)} frames, where there are one or two")
        header, payload = frames[0], frames[1] if len(frames) > 1 else b""
        if len(header) > self._max_header:
            raise ProtocolError(
                f"a header of {len(header):,} bytes; {self._max_header:,} are allowed"
            )
        if len(payload) > self._max_payload:
            size = f"{len(payload):,} bytes; {self._max_payload:,} are allowed"
            raise ProtocolError(f"a payload of {size}")
        if header[:1] != _VERSION:
            raise ProtocolError(f"version {header[:1].hex() or 'none'}; this is version {PROTOCOL}")
        try:
            return self._decoder.decode(memoryview(header)[1:]), payload
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
            raise ProtocolError(str(error)) from None


def from_agents() -> Decoder[AgentMessage]:
    """Reads what agents send to a source job."""
    return Decoder(msgspec.msgpack.Decoder(AgentMessage))


def to_agents() -> Decoder[ToAgent]:
    """Reads what a source job sends to agents."""
    return Decoder(msgspec.msgpack.Decoder(ToAgent))


def from_clients() -> Decoder[ClientMessage]:
    """Reads what clients send to a source job."""
    return Decoder(msgspec.msgpack.Decoder(ClientMessage))


def to_clients() -> Decoder[ToClient]:
    """Reads what a source job sends to clients."""
    return Decoder(msgspec.msgpack.Decoder(ToClient))
