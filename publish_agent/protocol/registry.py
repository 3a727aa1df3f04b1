"""The queries that run in an agent: their streams, their beginning and their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from mql.errors import QueryError
from mql.wire.messages import Accept, Message, Refuse, Subscribe
from mql.wire.names import STREAMS_MAX, is_stream_name
from publish_agent.drain.cost.planning_budget import Planning
from publish_agent.drain.stream_subscriptions import Subscriptions
from publish_agent.drain.tools import Tools
from publish_agent.protocol.agent_stats import Spent
from publish_agent.protocol.late_factory import LateFactory, TooLateError
from publish_agent.protocol.source_job_link import Link
from publish_agent.protocol.subscription_queue import Queue
from publish_agent.stream import Stream

if TYPE_CHECKING:
    from publish_agent.drain.plan.operators import Operators
    from publish_agent.drain.subscription import Running

MAX_QUERIES = 20_000
"""For each source job, those that wait among them."""
WAITING_NAMED_MAX = 5_000
"""A heartbeat names so many queries that wait; the others are asked again, for nothing."""
MAX_TEXT = 65_536
_ROUND_US = 100_000
"""So often an agent wakes, if for nothing else, to plan what waits: to wake costs, too."""
_SHORTEST_MS, _LONGEST_MS = 10, 10**11
LONGEST_REASON = 1_000


class Queries:
    """All queries of all source jobs, by stream. `seed` makes this agent's samples its own.

    Streams count from their beginning unless their process is not new, since another agent of it
    has failed.
    """

    def __init__(
        self,
        tools: Tools,
        factory: LateFactory,
        seed: int,
        offset_ms: Callable[[int], int],
        *,
        is_new: bool = True,
    ) -> None:
        self._tools = tools
        self._factory = factory
        self._is_new = is_new
        self._seed = seed
        self._offset_ms = offset_ms
        self._streams: dict[str, Subscriptions] = {}
        self._next_stream = 0
        self._clocks: dict[int, Callable[[], int]] = {}
        self._queue = Queue()
        self._round_us = 0
        self.accepted = 0
        """How many queries have begun so far."""
        self.are_ending = False
        """Whether nothing is taken any more for queries that come."""
        self._last_words: dict[tuple[str, int, int], Accept] = {}
        """By source job and query, what was said to those that came too late."""
        self.ended = Spent()
        """What the queries took that are over."""

    @property
    def _planning(self) -> Planning:
        return self._tools.budget.planning

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

    def stream_of(self, running: Running) -> Subscriptions:
        """The stream that a query runs on."""
        return self._streams[running.message.stream]

    def some_streams(self, most: int) -> list[Subscriptions]:
        """Some streams, others each time."""
        streams = self.streams
        if len(streams) <= most:
            return streams
        self._next_stream = (self._next_stream + most) % len(streams)
        return (streams[self._next_stream :] + streams)[:most]

    def adopt(self, stream: Stream) -> None:
        """Offer a stream, unless there are too many."""
        if len(self._streams) < STREAMS_MAX and is_stream_name(stream.name):
            made = Subscriptions(stream, self._tools, self._factory.get, is_new=self._is_new)
            self._streams.setdefault(stream.name, made)

    # Subscribing

    def subscribe(self, link: Link, message: Subscribe, now_us: int) -> list[Message]:
        """Begin a query, let it wait, or say why not. It is accepted once its intake is there."""
        before = link.queries.get((message.query, message.source))
        if before is not None:
            if before.message == message:
                return [] if before.start_ms is None else [self._accept(before)]
            self.end(link, before)
        waiting = self._queue.get(link, message.query, message.source)
        if waiting is not None:
            if waiting == message:
                return []
            self._queue.remove(link, message.query, message.source)
        reason = self._problem(link, message)
        if reason is None and self._is_too_late_for(message):
            return [self._last_word(link, message)]
        if reason is None:
            self._planning.pay(now_us)
            if self._queue or not self._planning.may_plan:
                self._queue.add(link, message)
                self._planning.is_crowded = True
                return []
            return self._begin(link, message)
        return _refusal(message, reason)

    def _is_too_late_for(self, message: Subscribe) -> bool:
        """Whether nothing more comes to a new stream of which nobody had anything."""
        return self.are_ending and self._streams[message.stream].is_untouched

    def plan(self, now_us: int) -> Iterator[tuple[Link, Message]]:
        """Begin those that wait, as far as planning may cost; say why not, of those that cannot."""
        self._round_us = now_us + _ROUND_US
        self._planning.pay(now_us)
        while self._queue and self._planning.may_plan:
            link, message = self._queue.take()
            if self._is_too_late_for(message):
                yield link, self._last_word(link, message)
                continue
            yield from ((link, told) for told in self._begin(link, message))
        self._planning.is_crowded = bool(self._queue)

    def _begin(self, link: Link, message: Subscribe) -> list[Message]:
        """Begin a query, or say why not; or its last word, if the agent closes meanwhile."""
        reason = self._plan(link, message)
        if reason is not None and self._is_too_late_for(message):
            return [self._last_word(link, message)]
        return _refusal(message, reason)

    def _plan(self, link: Link, message: Subscribe) -> str | None:
        """Begin a query. Returns why that cannot be."""
        if not self._factory.is_made and (reason := self._load()) is not None:
            return reason
        began_ns = self._tools.cpu_ns()
        try:
            seed, now_ms = abs(message.seed) ^ self._seed, self._now_ms(link.number)
            factory = self._factory.get()
            running = factory.subscription(link.number, message, now_ms, seed, self._built)
        except QueryError as error:
            return f"the agent does not understand the query: {error.args[0]}"
        except Exception as error:  # noqa: BLE001 - one bad query harms nothing else
            return f"the agent cannot run the query: {error!r}"
        else:
            link.begin(running)
            stream = self._streams[message.stream]
            stream.add(running)
            stream.planned_ns += self._tools.cpu_ns() - began_ns
            return None
        finally:
            self._planning.plan(self._tools.cpu_ns() - began_ns)

    def _load(self) -> str | None:
        """Import what runs queries, with the first one. Returns why that cannot be."""
        began_ns = self._tools.cpu_ns()
        try:
            self._factory.get()
        except Exception as error:  # noqa: BLE001 - whatever a module raises, the agent goes on
            self.are_ending = self.are_ending or isinstance(error, TooLateError)
            return f"the agent cannot run queries: {error!r}"
        else:
            return None
        finally:
            self._planning.load(self._tools.cpu_ns() - began_ns)

    def _built(self, make: Callable[[], Operators]) -> Operators:
        """Make a query's operators, with its first event."""
        began_ns = self._tools.cpu_ns()
        try:
            return make()
        finally:
            self._planning.build(self._tools.cpu_ns() - began_ns)

    def waiting(self, link: Link) -> tuple[int, ...]:
        """The numbers of a link's queries that wait."""
        return tuple(self._queue.queries(link)[:WAITING_NAMED_MAX]) if self._queue else ()

    def count_waiting(self, link: Link) -> int:
        """How many subscriptions of a link wait; any thread may ask."""
        return self._queue.count(link)

    def unsubscribe(self, link: Link, query: int) -> None:
        """End a query on all its sources."""
        self._queue.remove(link, query)
        began_ns = self._tools.cpu_ns()
        for running in link.sources_of(query):
            self.end(link, running)
        self._planning.build(self._tools.cpu_ns() - began_ns)

    def end(self, link: Link, running: Running) -> None:
        """End a query on one source."""
        self.ended = self.ended.plus(running.cost())
        link.end(running)
        self.stream_of(running).remove(running)

    def end_all(self, link: Link) -> None:
        """End all queries of a link."""
        self._queue.remove_all(link)
        for running in list(link.queries.values()):
            self.end(link, running)

    def forget(self, link: Link) -> None:
        """End all queries of a link that never comes back."""
        self.end_all(link)
        self._clocks.pop(link.number, None)

    def renew_us(self) -> int | None:
        """When the next change of subscriptions is due."""
        dues = [stream.due_us() for stream in self._streams.values()]
        if self._queue:
            dues.append(max(self._planning.plan_us(), self._round_us))
        return min((due_us for due_us in dues if due_us is not None), default=None)

    def renew(self, now_us: int, links: Mapping[int, Link]) -> Iterator[tuple[Link, Accept]]:
        """Make the intakes of the streams whose subscriptions have changed."""
        for stream in self._streams.values():
            stream.note_unseen()
            for running in stream.renew(now_us):
                link = links[running.link]
                running.start_ms = self._now_ms(running.link)() + 1
                running.watermark_ms = running.start_ms
                if (upstream := stream.stream.upstream) is not None:
                    clock = running.link, self._offset_ms(running.link)
                    running.relayed = upstream.begin(*clock, running.start_ms)
                link.started(running, running.start_ms)
                self.accepted += 1
                yield link, self._accept(running)

    def settle(self, by_us: int) -> None:
        """A source job has asked all that it had to ask of the streams that are older than this."""
        by_ns = by_us * 1_000 - self._tools.epoch_ns
        new = [each for each in self.streams if each.is_new and each.adopted_ns <= by_ns]
        waited_for = self._queue.streams() if new else set()
        for stream in new:
            stream.is_new = stream.stream.name in waited_for

    def owes(self, link: Link) -> bool:
        """Whether a source job may ask for a stream that had events, or waits for an answer."""
        by_ns = link.settled_us * 1_000 - self._tools.epoch_ns
        new = (stream for stream in self._streams.values() if stream.adopted_ns > by_ns)
        if any(stream.stream.unseen() > 0 for stream in new):
            return True
        if self._queue.count(link):
            return True
        return any(running.start_ms is None for running in link.queries.values())

    def _last_word(self, link: Link, message: Subscribe) -> Accept:
        """What a query missed of a new stream to which nothing more comes; it needs no plan."""
        key = link.job, message.query, message.source
        said = self._last_words.get(key)
        if said is None:
            start_ms = self._now_ms(link.number)() + 1
            unseen = self._ms(self._streams[message.stream].unseen(), link.number)
            said = Accept(message.query, message.source, start_ms, *unseen)
            self._last_words[key] = said
        return said

    def _accept(self, running: Running) -> Accept:
        assert running.start_ms is not None
        if running.unseen is None:
            return Accept(*running.key, running.start_ms)
        return Accept(*running.key, running.start_ms, *self._ms(running.unseen, running.link))

    def _ms(self, unseen: tuple[int, int], link: int) -> tuple[int, int]:
        """How many events, and since when by the clock of a link's source job."""
        number, since_ns = unseen
        return number, (since_ns + self._tools.epoch_ns) // 1_000_000 + self._offset_ms(link)

    def _problem(self, link: Link, message: Subscribe) -> str | None:
        if message.stream not in self._streams:
            return f"this agent publishes no {message.stream!r}"
        if not self._queue.has_room(link, message):
            return "more text waits in this agent than may"
        told = len(link.queries) + self._queue.count(link) + len(self._last_words)
        if told >= MAX_QUERIES:
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

    def validate(self) -> None:
        """Check what always holds; for tests."""
        for name, stream in self._streams.items():
            assert stream.stream.name == name
            stream.validate()
        assert len(self._streams) <= STREAMS_MAX
        self._queue.validate()
        self._planning.validate()


def _refusal(message: Subscribe, reason: str | None) -> list[Message]:
    if reason is None:
        return []
    return [Refuse(message.query, message.source, reason[:LONGEST_REASON])]
