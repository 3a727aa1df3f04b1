"""A stream, and who gets its events: nobody, an intake, or whoever looks at one of them.

`publish` is one function for as long as its stream lives; what it does is exchanged with its code.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from publish_agent.intake import Counter, Status
from publish_agent.reading import NAMES
from publish_agent.template import bind, with_blanks


@dataclass(frozen=True, slots=True)
class Taker:
    """What a stream hands its events to.

    `offer` takes an event, or not, and tells what became of it; its code is what `Stream.publish`
    runs. `lost` notes that events were lost before they came here. Neither ever raises.
    """

    offer: FunctionType
    lost: Callable[[int], None]


class Peek:
    """Takes one event to learn from, and counts; what subscriptions want goes on to them."""

    __slots__ = ("_encode", "_inner", "example", "seen")

    def __init__(self, encode: Callable[[object], bytes], inner: Taker | None) -> None:
        self._encode = encode
        self._inner = inner
        self.seen = Counter(Status.SKIPPED)
        self.example: bytes | None = None

    def offer(self, event: object) -> Status:
        """Take an event, or not. Never raises."""
        if self.example is None:
            try:
                self.example = self._encode(event)
            except Exception:  # noqa: BLE001 - whatever the caller's objects raise
                self.example = b""
        return self.seen.add() if self._inner is None else self._inner.offer(event)

    def taker(self) -> Taker:
        """What a stream hands its events to meanwhile."""
        return Taker(handing_to(self.offer), self._inner.lost if self._inner else _nobody_is_told)


def handing_to(offer: Callable[[object], Status]) -> FunctionType:
    """A function for a `Taker` that calls another one."""
    return bind(_HANDS_ON, {"OFFER": offer})


def _nobody_is_told(number: int) -> None:
    """Nobody asks, or it is too late."""


_SCOPE: dict[str, Any] = dict(NAMES)
"""The globals of each stream's `publish`, whatever code it has."""


def compiled(code: Sequence[ast.stmt], blanks: Sequence[str]) -> FunctionType:
    """The function `offer` that statements define, to be bound for a `Taker`."""
    return with_blanks(code, blanks, _SCOPE, "offer")


_HANDS_ON = compiled(
    ast.parse("def offer(event):\n    offer = OFFER\n    return offer(event)").body, ["OFFER"]
)
_GIVES = compiled(ast.parse("def offer(event):\n    return STATUS").body, ["STATUS"])

CLOSED = Taker(bind(_GIVES, {"STATUS": Status.CLOSED}), _nobody_is_told)
"""Takes nothing any more."""

_IDLE = Taker(bind(_GIVES, {"STATUS": Status.SKIPPED}), _nobody_is_told)
"""Nobody asks."""


class Stream:
    """Events of one name. `publish` is all that a service needs.

    `publish(event)` offers an event to the queries that run now, and tells what became of it. It
    never blocks or raises. The event is a dict (or a dataclass or `msgspec.Struct`). It is not
    kept: what a query needs of it has been copied when this returns.

    It is a function, whose code is exchanged when the queries change: who holds on to it, as in
    `publish = stream.publish`, goes on with the present ones.
    """

    __slots__ = ("_taker", "name", "publish")

    publish: Callable[[object], Status]

    def __init__(self, name: str) -> None:
        self.name = name
        self.publish = FunctionType(_IDLE.offer.__code__, _SCOPE, "publish")
        self._taker: Taker | None = None

    @property
    def taker(self) -> Taker | None:
        """Who gets the events; None while nobody asks."""
        return self._taker

    @taker.setter
    def taker(self, taker: Taker | None) -> None:
        self._taker = taker
        self.publish.__code__ = (taker or _IDLE).offer.__code__

    def lost(self, number: int) -> None:
        """Say that so many events of this stream were lost before they could be published.

        The queries that run now are told so (`upstream` in their ledger). Never blocks or raises.
        """
        taker = self._taker
        if taker is not None and type(number) is int and number > 0:
            taker.lost(number)
