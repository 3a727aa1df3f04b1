"""A stream, and who gets its events: nobody, an intake, or whoever looks at one of them.

`publish` is one function for as long as its stream lives; what it does is exchanged. It is
compiled, or else, where that was not built, made in Python, and then its code is exchanged.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from mql.interruption import pass_on
from publish_agent.intake import Counter, Status
from publish_agent.native import Offer, giver, publisher
from publish_agent.reading import NAMES
from publish_agent.template import bind, with_blanks


@dataclass(frozen=True, slots=True)
class Taker:
    """What a stream hands its events to.

    `offer` takes an event, or not, and tells what became of it: that is what `Stream.publish`
    does. `lost` notes that events were lost before they came here. Neither ever raises.
    """

    offer: Offer
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
            except BaseException as error:  # noqa: BLE001 - whatever the caller's objects raise
                pass_on(error)
                self.example = b""
        return self.seen.add() if self._inner is None else self._inner.offer(event)

    def taker(self) -> Taker:
        """What a stream hands its events to meanwhile."""
        return Taker(self.offer, self._inner.lost if self._inner else _nobody_is_told)


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


def _giving(status: Status) -> Offer:
    return giver(status) or bind(_GIVES, {"STATUS": status})


CLOSED = Taker(_giving(Status.CLOSED), _nobody_is_told)
"""Takes nothing any more."""

_IDLE = _giving(Status.SKIPPED)
"""Nobody asks."""


def _made_in_python(offer: Offer) -> tuple[Offer, Callable[[Offer], None]]:
    """A `publish` that hands its events to something, and what lets it hand them to another."""

    def exchange(offer: Offer) -> None:
        if not isinstance(offer, FunctionType):
            offer = bind(_HANDS_ON, {"OFFER": offer})
        publish.__code__ = offer.__code__

    publish = FunctionType(_HANDS_ON.__code__, _SCOPE, "publish")
    exchange(offer)
    return publish, exchange


class Stream:
    """Events of one name. `publish` is all that a service needs.

    `publish(event)` offers an event to the queries that run now, and tells what became of it. It
    never blocks or raises. The event is a dict (or a dataclass or `msgspec.Struct`). It is not
    kept: what a query needs of it has been copied when this returns.

    It is one function, which does something else when the queries change: who holds on to it, as
    in `publish = stream.publish`, goes on with the present ones.
    """

    __slots__ = ("_exchange", "_taker", "name", "publish")

    publish: Offer

    def __init__(self, name: str) -> None:
        self.name = name
        self.publish, self._exchange = publisher(_IDLE) or _made_in_python(_IDLE)
        self._taker: Taker | None = None

    @property
    def taker(self) -> Taker | None:
        """Who gets the events; None while nobody asks."""
        return self._taker

    @taker.setter
    def taker(self, taker: Taker | None) -> None:
        self._taker = taker
        self._exchange(_IDLE if taker is None else taker.offer)

    def lost(self, number: int) -> None:
        """Say that so many events of this stream were lost before they could be published.

        The queries that run now are told so (`upstream` in their ledger). Never blocks or raises.
        """
        taker = self._taker
        if taker is not None and type(number) is int and number > 0:
            taker.lost(number)
