"""A stream, and who gets its events: an intake or none, and before it, once, who looks at one.

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
from publish_agent.native import Offer, Publisher, giver, publisher
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
    """Takes one event to learn from: the first that comes, unless that is too late.

    The first event also ends it, at once and on its own thread: the stream goes back to its taker,
    and no further event pays for it. It may be that of several threads at the same moment.
    """

    __slots__ = ("_clock_ns", "_encode", "_stream", "_until_ns", "ended", "example")

    def __init__(
        self,
        stream: Stream,
        encode: Callable[[object], bytes],
        clock_ns: Callable[[], int],
        span_ns: int | None,
    ) -> None:
        self._stream = stream
        self._encode = encode
        self._clock_ns = clock_ns
        self._until_ns = None if span_ns is None else clock_ns() + span_ns
        self.example: bytes | None = None
        self.ended = False

    def offer(self, event: object) -> Status:
        """Learn from an event, if it is the first, and hand it on. Never raises."""
        is_first, self.ended = not self.ended, True
        self._stream.settle()
        if is_first and (self._until_ns is None or self._clock_ns() <= self._until_ns):
            try:
                self.example = self._encode(event)
            except BaseException as error:  # noqa: BLE001 - whatever the caller's objects raise
                pass_on(error)
                self.example = b""
        return self._stream.publish(event)


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
_COUNTS = compiled(ast.parse("def offer(event):\n    return next(TICKS)").body, ["TICKS"])


def _giving(status: Status) -> Offer:
    return giver(status) or bind(_GIVES, {"STATUS": status})


CLOSED = Taker(_giving(Status.CLOSED), _nobody_is_told)
"""Takes nothing any more."""


def _made_in_python(idle: Status) -> Publisher:
    """A `publish` as `native.publisher` makes one."""
    counter = Counter(idle)
    counts = bind(_COUNTS, {"TICKS": counter.ticks})

    def exchange(offer: Offer | None) -> None:
        if offer is None:
            offer = counts
        elif not isinstance(offer, FunctionType):
            offer = bind(_HANDS_ON, {"OFFER": offer})
        publish.__code__ = offer.__code__

    publish = FunctionType(counts.__code__, _SCOPE, "publish")
    return Publisher(publish, exchange, counter.total)


class Stream:
    """Events of one name. `publish` is all that a service needs.

    `publish(event)` offers an event to the queries that run now, and tells what became of it. It
    never blocks or raises. The event is a dict (or a dataclass or `msgspec.Struct`). It is not
    kept: what a query needs of it has been copied when this returns.

    It is one function, which does something else when the queries change: who holds on to it, as
    in `publish = stream.publish`, goes on with the present ones.
    """

    __slots__ = ("_early", "_exchange", "_idle_total", "_peek", "_taker", "name", "publish")

    publish: Offer

    def __init__(self, name: str) -> None:
        self.name = name
        made = publisher(Status.SKIPPED) or _made_in_python(Status.SKIPPED)
        self.publish, self._exchange, self._idle_total = made.publish, made.exchange, made.skipped
        self._early = Counter(Status.SKIPPED)
        self._taker: Taker | None = None
        self._peek: Peek | None = None

    @property
    def taker(self) -> Taker | None:
        """Who gets the events; None while nobody asks."""
        return self._taker

    @taker.setter
    def taker(self, taker: Taker | None) -> None:
        self._taker = taker
        self.settle()

    @property
    def peek(self) -> Peek | None:
        """Who gets one event first, until it has come."""
        return self._peek

    @peek.setter
    def peek(self, peek: Peek | None) -> None:
        self._peek = peek
        self.settle()

    def skipped(self) -> int:
        """How many events there have been while nobody asked."""
        return self._idle_total() + self._early.total()

    def skip(self) -> Status:
        """Count an event for which somebody else stood in for nobody."""
        return self._early.add()

    def settle(self) -> None:
        """Let `publish` hand its events to whoever is to get them now. From any thread.

        Two threads may do so at once. The last one to exchange sees what the other has changed, for
        each looks once more after that, and so there is no lock.
        """
        while True:
            before = self._offer()
            self._exchange(before)
            if self._offer() == before:
                return

    def _offer(self) -> Offer | None:
        peek, taker = self._peek, self._taker
        if peek is not None and not peek.ended:
            return peek.offer
        return None if taker is None else taker.offer

    def lost(self, number: int) -> None:
        """Say that so many events of this stream were lost before they could be published.

        The queries that run now are told so (`upstream` in their ledger). Never blocks or raises.
        """
        taker = self._taker
        if taker is not None and type(number) is int and number > 0:
            taker.lost(number)
