"""The queries that run in an agent: their streams, their beginning and their end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from mql.errors import QueryError
from mql.odd import replace_surrogates
from mql.wire.messages import Accept, Batch, Message, QueryCost, Refuse, Subscribe
from publish_agent.figures import Spent
from publish_agent.generation import Tools
from publish_agent.link import Link
from publish_agent.pack import Load, pack
from publish_agent.running import Running
from publish_agent.stream import Stream
from publish_agent.subscriptions import Subscriptions

MAX_STREAMS = 1_000
MAX_QUERIES = 20_000
"""For each source job."""
MAX_TEXT = 65_536
MAX_NAME = 200
_SHORTEST_MS, _LONGEST_MS = 10, 10**11
_LONGEST_REASON = 1_000


class Queries:
    """All queries of all source jobs, by stream. `seed` makes this agent's samples its own."""

    def __init__(self, tools: Tools, seed: int, offset_ms: Callable[[int], int]) -> None:
        self._tools = tools
        self._seed = seed
        self._offset_ms = offset_ms
        self._streams: dict[str, Subscriptions] = {}
        self._next_stream = 0
        self._failed: list[Running] = []
        self._full: list[Running] = []
        self._clocks: dict[int, Callable[[], int]] = {}
        self.dropped = 0
        """Events that were dropped here, by a full buffer or because they cannot be read."""
        self.ended = Spent()
        """What the queries took that are over."""

    @property
    def streams(self) -> list[Subscriptions]:
        """What the agent offers."""
        return list(self._streams.values())

    @property
    def active(self) -> bool:
        """Whether there is anything to drain."""
        return any(stream.active for stream in self._streams.values())

    def names(self) -> tuple[str, ...]:
        """The names of the streams."""
        return tuple(self._streams)

    def some_streams(self, most: int) -> list[Subscriptions]:
        """Some streams, others each time."""
        streams = self.streams
        if len(streams) <= most:
            return streams
        self._next_stream = (self._next_stream + most) % len(streams)
        return (streams[self._next_stream :] + streams)[:most]

    def adopt(self, stream: Stream) -> None:
        """Offer a stream, unless there are too many."""
        if len(self._streams) < MAX_STREAMS and is_stream_name(stream.name):
            self._streams.setdefault(stream.name, Subscriptions(stream, self._tools))

    # Subscribing

    def subscribe(self, link: Link, message: Subscribe) -> list[Message]:
        """Begin a query, or say why not. It is accepted once its intake is there."""
        before = link.queries.get((message.query, message.source))
        if before is not None:
            if before.message == message:
                return [] if before.start_ms is None else [_accept(before)]
            self.end(link, before)
        reason = self._problem(link, message)
        if reason is None:
            number = link.number
            try:
                seed, screener = abs(message.seed) ^ self._seed, self._tools.screener
                running = Running(number, message, screener, self._now_ms(number), seed)
            except QueryError as error:
                reason = f"the agent does not understand the query: {error.args[0]}"
            except Exception as error:  # noqa: BLE001 - one bad query harms nothing else
                reason = f"the agent cannot run the query: {error!r}"
            else:
                link.begin(running)
                self._streams[message.stream].add(running)
                return []
        return [Refuse(message.query, message.source, reason[:_LONGEST_REASON])]

    def unsubscribe(self, link: Link, query: int) -> None:
        """End a query on all its sources."""
        for running in [r for r in link.queries.values() if r.message.query == query]:
            self.end(link, running)

    def end(self, link: Link, running: Running) -> None:
        """End a query on one source."""
        self.ended = self.ended.plus(running.cost())
        link.end(running)
        self._streams[running.message.stream].remove(running)

    def end_all(self, link: Link) -> None:
        """End all queries of a link."""
        for running in list(link.queries.values()):
            self.end(link, running)

    def forget(self, link: Link) -> None:
        """End all queries of a link that never comes back."""
        self.end_all(link)
        self._clocks.pop(link.number, None)

    def renew_us(self) -> int | None:
        """When the next change of subscriptions is due."""
        dues = (stream.due_us() for stream in self._streams.values())
        return min((due_us for due_us in dues if due_us is not None), default=None)

    def renew(self, now_us: int, links: Mapping[int, Link]) -> Iterator[tuple[Link, Accept]]:
        """Make the intakes of the streams whose subscriptions have changed."""
        for stream in self._streams.values():
            for running in stream.renew(now_us):
                link = links[running.link]
                running.start_ms = self._now_ms(running.link)() + 1
                running.watermark_ms = running.start_ms
                link.started(running, running.start_ms)
                yield link, _accept(running)

    def _problem(self, link: Link, message: Subscribe) -> str | None:
        if message.stream not in self._streams:
            return f"this agent publishes no {message.stream!r}"
        if len(link.queries) >= MAX_QUERIES:
            return f"this agent runs {MAX_QUERIES:,} queries already"
        if len(message.text) > MAX_TEXT:
            return f"a query is at most {MAX_TEXT:,} characters"
        if not _SHORTEST_MS <= message.slot_ms <= _LONGEST_MS:
            return f"a slot of {message.slot_ms} ms"
        return None

    def _now_ms(self, link: int) -> Callable[[], int]:
        """The clock of a link's source job; one function for all its queries."""
        tools, offset_ms = self._tools, self._offset_ms
        return self._clocks.setdefault(
            link, lambda: (tools.clock_ns() + tools.epoch_ns) // 1_000_000 + offset_ms(link)
        )

    # Draining

    def drain(self, now_ms: int) -> tuple[dict[int, list[Load]], int]:
        """The payloads for each link, and how many events the intakes had kept."""
        loads: dict[int, list[Load]] = {}
        kept = 0
        self._full = []
        for stream in self._streams.values():
            if not stream.active:
                continue
            drained = stream.drain(now_ms, self._offset_ms)
            self.dropped += drained.dropped
            kept += drained.kept
            for catch in drained.catches:
                self._failed += catch.failed
                self._full += catch.full
                for load in pack(catch, now_ms):
                    loads.setdefault(load.link, []).append(load)
        self._full += self._too_large()
        return loads, kept

    def _too_large(self) -> list[Running]:
        """The queries with states, if those hold more than the agent may."""
        with_states = [r for s in self._streams.values() for r in s.with_states]
        held = sum(running.states.bytes for running in with_states if running.states)
        return with_states if held > self._tools.budget.state_bytes else []

    def messages(
        self, link: Link, loads: list[Load], watermark_ms: int, *, final: bool = False
    ) -> list[tuple[Batch, bytes | None]]:
        """What to tell a link after a drain: rows, and the tallies that are due, or all of them."""
        due: dict[Running, int] = {}
        for group, told_ms in link.groups_due(watermark_ms, final=final):
            for stream in self._streams.values():
                stream.spread(group)
            due |= dict.fromkeys(link.members(group), told_ms)
        due |= dict.fromkeys((r for r in self._full if r.link == link.number), watermark_ms)
        # Whatever is told up to a time is told with all counts up to it.
        for running in dict.fromkeys(s.running for load in loads for s in load.shares):
            self._streams[running.message.stream].spread_to(running)
        return link.batches(loads, due, watermark_ms)

    def costs(self, some: Iterable[Running]) -> tuple[QueryCost, ...]:
        """What some queries have cost up to this moment."""
        costs = []
        for running in some:
            self._streams[running.message.stream].spread_to(running)
            costs.append(running.cost())
        return tuple(costs)

    def failures(self, links: Mapping[int, Link]) -> Iterator[tuple[Link, Refuse]]:
        """End the queries that failed while they ran."""
        failed, self._failed = self._failed, []
        for running in failed:
            if not running.ended:
                link = links[running.link]
                self.end(link, running)
                yield link, Refuse(*running.key, running.failure[:_LONGEST_REASON])

    def validate(self) -> None:
        """Check what always holds; for tests."""
        for name, stream in self._streams.items():
            assert stream.stream.name == name
            stream.validate()
        assert len(self._streams) <= MAX_STREAMS


def _accept(running: Running) -> Accept:
    assert running.start_ms is not None
    return Accept(*running.key, running.start_ms)


def is_stream_name(name: object) -> bool:
    """Whether a stream may be called so."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        return False
    return name.isascii() or replace_surrogates(name) == name
