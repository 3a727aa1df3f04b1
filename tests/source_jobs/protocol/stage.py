"""Actors for the source job's state: agents and clients as values, and a clock that is moved."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Generic, TypeVar

import pyarrow as pa

from mql.events.decode import EventReader
from mql.exec.aggregates.partial_aggregate import PartialAggregate
from mql.exec.build import Context, Pipeline
from mql.exec.limits import Limits
from mql.exec.operator import Window
from mql.exec.windows.event_time import EventClock
from mql.layout import layout_of
from mql.ledger import Completeness, Tally
from mql.planner.plan import plan
from mql.result import Chunk
from mql.wire.codec import encode, to_agents, to_clients
from mql.wire.messages import (
    PROTOCOL,
    Accept,
    Alive,
    Answer,
    Answering,
    Ask,
    Batch,
    Cancel,
    Connect,
    Ended,
    Heartbeat,
    Hello,
    Message,
    Part,
    Show,
    Subscribe,
    ToAgent,
    ToClient,
)
from mql.wire.payload import read_batch, write_batch
from source_jobs.protocol.job_state import JobState
from source_jobs.protocol.outbox import Send, Side
from source_jobs.protocol.work.aside import Done
from source_jobs.query.live_query import Question
from source_jobs.settings import Settings
from tests.oracle.cases import Event, Row

START_MS = 1_000_000
M = TypeVar("M")


class Stage:
    """A source job's state, its clock, and everybody who talks to it."""

    def __init__(
        self,
        settings: Settings | None = None,
        start_ms: int = START_MS,
        planner: Later[Question] | None = None,
        worker: Later[tuple[object, int]] | None = None,
        meter_us: Callable[[], int] = lambda: 0,
    ) -> None:
        self.settings = settings or Settings("job")
        self.state = JobState(
            self.settings,
            Random(1),  # noqa: S311 - of samples
            planner,
            worker,
            meter_us,
        )
        self.now_us = start_ms * 1000
        self.agents: dict[bytes, FakeAgent] = {}
        self.clients: dict[bytes, FakeClient] = {}
        self.sent: list[Send] = []

    @property
    def now_ms(self) -> int:
        return self.now_us // 1000

    def agent(self, name: str, *streams: str, service: str = "shop") -> FakeAgent:
        """A new agent that has said hello and offers streams."""
        agent = FakeAgent(self, name, service)
        self.agents[agent.peer] = agent
        agent.hello(streams)
        return agent

    def client(self, name: str = "c", credit: int = 1 << 30, key: bytes = b"") -> FakeClient:
        """A new client that has connected, by a connection of a key."""
        client = FakeClient(self, name.encode(), name)
        client.key = key
        self.clients[client.peer] = client
        client.send(Connect(PROTOCOL, name, f"user {name}", "1", credit))
        return client

    def from_agent(self, peer: bytes, frames: Sequence[bytes]) -> None:
        self.deliver(self.state.from_agent(peer, frames, self.now_us))

    def from_client(self, peer: bytes, frames: Sequence[bytes], key: bytes = b"") -> None:
        self.deliver(self.state.from_client(peer, frames, self.now_us, key))

    def tick(self) -> None:
        self.deliver(self.state.tick(self.now_us))
        self.state.validate()
        if not self.state.has_more:
            assert self.state.next_wake_us() > self.now_us, "it would be busy with waiting"

    def pass_time(self, ms: int, *, alive: bool = True) -> None:
        """Let time pass as the job's shell would, everybody saying that they are alive."""
        end = self.now_us + ms * 1000
        while self.now_us < end:
            self.now_us = min(end, max(self.now_us + 1, self.state.next_wake_us()))
            if alive:
                self.everybody_is_alive()
            self.tick()

    def everybody_is_alive(self) -> None:
        for agent in self.agents.values():
            if agent.is_alive and self.now_us - agent.said_us >= 1_000_000:
                agent.send(Heartbeat(self.now_us, self.now_ms))
        for client in self.clients.values():
            if client.is_alive and self.now_us - client.said_us >= 1_000_000:
                client.send(Alive())

    def deliver(self, sends: Iterable[Send]) -> None:
        """Have everybody get what is sent to them."""
        for send in sends:
            self.sent.append(send)
            frames = [bytes(frame) for frame in send.frames]
            if send.side is Side.AGENT and send.peer in self.agents:
                self.agents[send.peer].inbox.append(to_agents().decode(frames)[0])
            elif send.side is Side.CLIENT and send.peer in self.clients:
                self.clients[send.peer].inbox.append(to_clients().decode(frames))


class Later(Generic[M]):
    """Does what is begun once it is told to, as a thread may."""

    def __init__(self) -> None:
        self.is_busy = False
        self._work: Callable[[], M] | None = None
        self._outcome: Done[M] | None = None

    def begin(self, work: Callable[[], M]) -> None:
        assert not self.is_busy
        self.is_busy, self._work = True, work

    def do(self) -> None:
        assert self._work is not None
        self._outcome, self._work = Done.of(self._work), None

    def take(self) -> Done[M] | None:
        outcome, self._outcome = self._outcome, None
        self.is_busy = self.is_busy and outcome is None
        return outcome


class FakeAgent:
    """An agent as a value: it counts what it says it has counted."""

    def __init__(self, stage: Stage, name: str, service: str) -> None:
        self.stage = stage
        self.name, self.service = name, service
        self.peer = f"peer of {name}".encode()
        self.inbox: list[ToAgent] = []
        self.is_alive = True
        self.said_us = stage.now_us
        self.counted: dict[int, Tally] = {}
        self._partials: dict[tuple[int, int], PartialAggregate] = {}
        self.aggregates = False
        """Whether it sends states where it may."""
        self._sequences: dict[tuple[int, int], int] = {}
        self._seen: dict[tuple[int, int], int] = {}

    def send(self, message: Message, payload: bytes | None = None) -> None:
        self.said_us = self.stage.now_us
        frames = [bytes(frame) for frame in encode(message, payload)]
        self.stage.from_agent(self.peer, frames)

    def hello(self, streams: Sequence[str]) -> None:
        now_us = self.stage.now_us
        self.send(
            Hello(PROTOCOL, self.name, self.service, "host", 1, "1", now_us, {}, tuple(streams))
        )

    def got(self, kind: type[M]) -> list[M]:
        return [message for message in self.inbox if isinstance(message, kind)]

    def accept(self, start_ms: int | None = None, **unseen: int) -> None:
        """Accept all that it has been asked."""
        start_ms = self.stage.now_ms if start_ms is None else start_ms
        for asked in self.got(Subscribe):
            if (asked.query, asked.source) not in self._sequences:
                self.begin(asked)
                self.send(Accept(asked.query, asked.source, start_ms, **unseen))

    def begin(self, asked: Subscribe) -> None:
        """Run a query, and tell nobody."""
        self._partials.pop((asked.query, asked.source), None)
        self._sequences[asked.query, asked.source] = self._seen[asked.query, asked.source] = 0

    def restart(self) -> None:
        """Forget that it runs any query."""
        self._sequences, self._seen = {}, {}

    def part(
        self,
        asked: Subscribe,
        watermark_ms: int,
        tallies: Sequence[Tally],
        *,
        has_rows: bool = False,
        rows: bytes | None = None,
    ) -> Part:
        """The next part of a query; from here on it counts as sent."""
        key = asked.query, asked.source
        self._sequences[key] += 1
        self._seen[key] += sum(tally.seen for tally in tallies)
        total = self.counted.setdefault(asked.query, Tally(0))
        for tally in tallies:
            total += tally
        self.counted[asked.query] = total
        return Part(
            asked.query,
            asked.source,
            self._sequences[key],
            watermark_ms,
            total.shipped,
            self._seen[key],
            tuple(tallies),
            has_rows,
            rows,
        )

    def ship(
        self,
        asked: Subscribe,
        events: Sequence[Event],
        watermark_ms: int | None = None,
        *,
        lose: bool = False,
        **dropped: int,
    ) -> None:
        """Run the agent's half of a query on events, and send (or lose) what it makes."""
        watermark_ms = self.stage.now_ms if watermark_ms is None else watermark_ms
        batch, slots = agent_half(asked, events)
        tallies = [
            Tally(slot, filtered_out=seen - len(kept), shipped=len(kept))
            for slot, (seen, kept) in sorted(slots.items())
        ]
        if dropped:
            tallies.append(Tally(watermark_ms, **dropped))
        states = asked.states and self.aggregates
        sent = self._states_of(asked, batch) if states else batch
        part = self.part(asked, watermark_ms, tallies, has_rows=batch.num_rows > 0)
        payload = write_batch(sent).to_pybytes() if sent is not None and batch.num_rows else None
        if not lose:
            self.send(Batch((part,), states=states and payload is not None), payload)

    def _states_of(self, asked: Subscribe, rows: pa.RecordBatch) -> pa.RecordBatch | None:
        key = asked.query, asked.source
        if key not in self._partials:
            self._partials[key] = partial_of(asked)
        return states_of(self._partials[key], rows)


def partial_of(asked: Subscribe) -> PartialAggregate:
    """What makes the states that an agent ships in place of rows."""
    aggregate = plan(asked.text, live=True).agent.aggregate
    assert aggregate is not None
    return PartialAggregate(aggregate, Limits(), lambda: 0, source=asked.source)


def states_of(partial: PartialAggregate, rows: pa.RecordBatch) -> pa.RecordBatch | None:
    """The states of further rows."""
    partial.update(rows)
    return partial.take()


def agent_half(
    asked: Subscribe, events: Sequence[Event]
) -> tuple[pa.RecordBatch, dict[int, tuple[int, list[int]]]]:
    """The rows that an agent ships, and by slot how many events there were and which passed."""
    planned = plan(asked.text, live=True)
    reader = EventReader(planned.agent.reads)
    times = [time for time, _ in events]
    batch = reader.from_events([dict(event) for _, event in events], times).batch
    pipeline = Pipeline(planned.agent.steps, Context(now_ms=lambda: 0, seed=asked.seed))
    (block,) = pipeline.push(EventClock().stamp(batch))
    empty = EventReader(planned.agent.ships).from_events([]).batch
    shipped = block.batch.select(empty.schema.names)
    slots: dict[int, tuple[int, list[int]]] = {}
    for time in times:
        slot = time // asked.slot_ms * asked.slot_ms
        seen, kept = slots.get(slot, (0, []))
        slots[slot] = seen + 1, kept
    for time in shipped.column("*time").to_pylist():
        slots[time // asked.slot_ms * asked.slot_ms][1].append(time)
    return shipped, slots


class FakeClient:
    """A client as a value."""

    def __init__(self, stage: Stage, peer: bytes, name: str) -> None:
        self.stage = stage
        self.peer, self.name = peer, name
        self.key = b""
        self.inbox: list[tuple[ToClient, bytes]] = []
        self.is_alive = True
        self.said_us = stage.now_us
        self._requests = itertools.count(1)
        self._queries: dict[int, str] = {}

    def send(self, message: Message) -> None:
        self.said_us = self.stage.now_us
        self.stage.from_client(self.peer, [bytes(frame) for frame in encode(message)], self.key)

    def ask(self, query: str, **how: object) -> int:
        request = next(self._requests)
        self._queries[request] = query
        self.send(Ask(request, query, **how))  # type: ignore[arg-type]
        return request

    def send_cancel(self, query: int) -> int:
        request = next(self._requests)
        self.send(Cancel(request, query))
        return request

    def show(self, what: str, query: str = "") -> int:
        request = next(self._requests)
        self.send(Show(request, what, query))
        return request

    def got(self, kind: type[M], request: int | None = None) -> list[M]:
        return [
            message
            for message, _ in self.inbox
            if isinstance(message, kind)
            and (request is None or getattr(message, "request", None) == request)
        ]

    def query_of(self, request: int) -> int:
        (answering,) = self.got(Answering, request)
        return answering.query

    def answers(self, request: int) -> list[tuple[Answer, list[Row]]]:
        """Each piece of an answer with its rows."""
        layout = layout_of(plan(self._queries[request], live=True).steps)
        pieces = []
        for message, payload in self.inbox:
            if isinstance(message, Answer) and message.request == request:
                batch = read_batch(payload) if payload else None
                chunk = Chunk(layout, batch, Window(message.start_ms, message.end_ms))
                pieces.append((message, chunk.rows()))
        return pieces

    def windows(self, request: int) -> list[list[Row]]:
        """The rows of each window that has closed."""
        made: list[list[Row]] = []
        rows: list[Row] = []
        for answer, more in self.answers(request):
            rows += more
            if answer.closes:
                made.append(rows)
                rows = []
        return made

    def rows(self, request: int) -> list[Row]:
        return [row for _, rows in self.answers(request) for row in rows]

    def ledgers(self, request: int) -> list[Completeness]:
        """What was said of each span of time."""
        return [a.completeness for a, _ in self.answers(request) if a.completeness is not None]

    def ended(self, request: int) -> Ended | None:
        return next(iter(self.got(Ended, request)), None)
