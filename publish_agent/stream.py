"""A stream: the entry of its events, and the target that they go to.

The life of an event on its caller's thread, each step an `EventTarget` (`capture/event_target.py`):

1. `Stream.publish` hands the event to the target of the moment, or counts it where no query asks.
   It is one function for as long as its stream lives, of `capture/native/publish.c` or, where that
   was not built, of `screen/publisher.py`. `Stream.settle` exchanges its target.
2. The tap (`capture/profile_tap.py`) learns from one event now and then.
3. The gate counts what no query can want. `screen/screen.py` makes it, of one index for each kind
   of condition (`screen/groups/`); compiled code, or code made in Python, does what it says.
4. The copier takes the values of an event, and that is all, where a few are enough for each query
   (`capture/native/copy.c`, `capture/value_columns.py`).
5. Else the intake (`capture/event_buffer.py`) finds out which queries may want the event, leaves it
   out of a sample (`capture/sampler.py`), or keeps its JSON text (`capture/encode.py`).

An event that is kept waits for the background thread (`drain/`).
"""

from __future__ import annotations

from publish_agent.capture.event_buffer import Counter, Status
from publish_agent.capture.event_target import EventTarget
from publish_agent.capture.native.binding import Publisher, publisher
from publish_agent.capture.outcome import Outcome
from publish_agent.capture.profile_tap import Peek
from publish_agent.capture.upstream_answer import Upstream
from publish_agent.screen.taker import Taker


class Stream:
    """Events of one name. `publish` is all that a service needs.

    `publish(event)` offers an event to the queries that run now, and tells what became of it. It
    never blocks or raises. The event is a dict (or a dataclass or `msgspec.Struct`). It is not
    kept: what a query needs of it has been copied when this returns.

    It is one function, which does something else when the queries change: a caller that holds on to
    it, as in `publish = stream.publish`, goes on with the present ones.
    """

    __slots__ = ("_begun", "_early", "_peek", "_taker", "begun_ns", "name", "publish",
                 "publisher", "upstream")  # fmt: skip

    publish: EventTarget

    def __init__(self, name: str) -> None:
        self.name = name
        self.publisher = publisher(Status.SKIPPED) or _python_publisher()
        self.publish = self.publisher.publish
        self._early = Counter(Status.SKIPPED)
        self._begun = 0
        self.begun_ns = 0
        """When its process began to publish, by the monotonic clock; 0: nobody has said so."""
        self._taker: Taker | None = None
        self._peek: Peek | None = None
        self.upstream: Upstream | None = None
        """Where its events come from, if they are another source job's answer."""

    @property
    def taker(self) -> Taker | None:
        """The taker of the events; None while no query asks."""
        return self._taker

    @taker.setter
    def taker(self, taker: Taker | None) -> None:
        self._taker = taker
        self.settle()

    @property
    def peek(self) -> Peek | None:
        """The tap, until its event has come."""
        return self._peek

    @peek.setter
    def peek(self, peek: Peek | None) -> None:
        self._peek = peek
        self.settle()

    def skipped(self) -> int:
        """How many events there have been while nobody asked."""
        return self.publisher.skipped() + self._early.total()

    def begin(self, now_ns: int) -> None:
        """Its process begins: all that was counted before is another one's."""
        self.begun_ns, self._begun = now_ns, self.skipped()

    def unseen(self) -> int:
        """How many events its process has published while nobody asked."""
        return self.skipped() - self._begun

    def skip(self) -> Status:
        """Count an event that came to a target while no query asked."""
        return self._early.add()

    def settle(self) -> None:
        """Let `publish` hand its events to the target of now. From any thread.

        Two threads may do so at once. The last one to exchange sees what the other has changed, for
        each looks once more after that, and so there is no lock.
        """
        while True:
            before = self._target()
            self.publisher.exchange(*before)
            if self._target() == before:
                return

    def _target(self) -> tuple[EventTarget | None, bool]:
        """The target of an event, and whether a watermark waits for that.

        It need not wait for the tap: that hands an event on by another call.
        """
        peek, taker = self._peek, self._taker
        if peek is not None and not peek.ended:
            return peek.tap, False
        return (None, False) if taker is None else (taker.target, True)

    def lost(self, number: int) -> None:
        """Say that so many events of this stream were lost before they could be published.

        The queries that run now are told so (`upstream` in their ledger). Never blocks or raises.
        """
        taker = self._taker
        if taker is not None and type(number) is int and number > 0:
            taker.lost(number)


def _python_publisher() -> Publisher:
    from publish_agent.screen.publisher import python_publisher  # noqa: PLC0415 - mostly unused

    return python_publisher(Status.SKIPPED)


class DatedEntry:
    """The way into a stream for events that have a time already. Never blocks or raises."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def keep(self, row: object, time_ms: int) -> Status:
        """Offer an event of a time to the queries that run now."""
        taker, peek = self._stream.taker, self._stream.peek
        if peek is not None and not peek.ended:
            peek.look(row)
        return self._stream.skip() if taker is None else taker.dated.keep(row, time_ms)

    def lose(self, time_ms: int, outcome: Outcome, number: int) -> None:
        """Note that events of a time are lost."""
        taker = self._stream.taker
        if taker is not None and number > 0:
            taker.dated.lose(time_ms, outcome, number)
