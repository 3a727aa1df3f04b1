"""What a source job wants sent: frames, in order, each to one peer of one side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mql.wire.codec import encode
from mql.wire.messages import Message

Frames = Sequence[bytes | memoryview]


class Side(StrEnum):
    """The two kinds of peer."""

    AGENT = "agent"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Send:
    """Frames for a peer; `request` and `rows` say whose answer they are, and how many rows."""

    side: Side
    peer: bytes
    frames: Frames
    request: int = 0
    rows: int = 0


class Outbox:
    """Collects what is to be sent until somebody takes it."""

    def __init__(self) -> None:
        self._sends: list[Send] = []

    def to_agent(self, peer: bytes, message: Message) -> None:
        """Send an agent a message."""
        self._sends.append(Send(Side.AGENT, peer, encode(message)))

    def to_client(
        self,
        peer: bytes,
        message: Message,
        payload: bytes | memoryview | None = None,
        *,
        request: int = 0,
        rows: int = 0,
    ) -> None:
        """Send a client a message, with its payload if it has one."""
        self._sends.append(Send(Side.CLIENT, peer, encode(message, payload), request, rows))

    def take(self) -> list[Send]:
        """All that has been collected."""
        sends, self._sends = self._sends, []
        return sends
