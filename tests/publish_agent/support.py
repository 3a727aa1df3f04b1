"""An agent's core with a source job made by hand: a clock to set, frames to give and to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from mql.columnar.layout import EVENT, TIME
from mql.columnar.read import to_python
from mql.ledger import Tally
from mql.wire.codec import encode, from_agents
from mql.wire.messages import (
    PROTOCOL,
    Accept,
    AgentMessage,
    Batch,
    Beat,
    Heartbeat,
    Message,
    Refuse,
    Subscribe,
    Unsubscribe,
    Welcome,
)
from mql.wire.payload import read_batch, read_rows
from publish_agent.capture.event_buffer import Status
from publish_agent.protocol.agent_state import AgentState, Send
from publish_agent.protocol.identity import Identity
from publish_agent.settings import Settings
from publish_agent.stream import Stream

START_US = 1_700_000_000_000_000
LINK = 7
PLENTY = 1 << 30
ALL = "select * from s"


@dataclass
class Received:
    """What came of one query and source: its rows as dicts of columns, and its tallies."""

    rows: list[dict[str, object]] = field(default_factory=list)
    states: list[dict[str, object]] = field(default_factory=list)
    tallies: list[Tally] = field(default_factory=list)
    sequence: int = 0
    seen_total: int = 0
    shipped_total: int = 0
    watermark_ms: int = 0

    @property
    def total(self) -> Tally:
        total = Tally(0)
        for tally in self.tallies:
            total += tally
        return total

    @property
    def events(self) -> list[object]:
        return [msgspec.json.decode(str(row[EVENT])) for row in self.rows]


class Job:
    """A source job that checks what an agent may say, and keeps it."""

    def __init__(self, link: int = LINK) -> None:
        self.link = link
        self.messages: list[AgentMessage] = []
        self.payload_bytes = 0
        self.unanswered: list[Heartbeat] = []
        self.answers = True
        self.ahead_us = 0
        self.by_arrival = True  # else events have times of their own, and may be late
        self.queries: dict[tuple[int, int], Received] = {}
        self._decoder = from_agents()

    def take(self, sends: Iterable[Send]) -> None:
        for send in sends:
            if send.link != self.link:
                continue
            message, payload = self._decoder.decode([bytes(frame) for frame in send.frames])
            self.messages.append(message)
            self.payload_bytes += len(payload)
            match message:
                case Accept(query, source, _):
                    self.queries.setdefault((query, source), Received())
                case Batch():
                    self._batch(message, payload)
                case Heartbeat():
                    self.unanswered.append(message)
                case _:
                    pass

    def _batch(self, batch: Batch, payload: bytes) -> None:
        columns = read_batch(payload) if payload else None
        for part in batch.parts:
            got = self.queries[part.query, part.source]
            assert part.sequence == got.sequence + 1
            seen = sum(tally.seen for tally in part.tallies)
            shipped = sum(tally.shipped for tally in part.tallies)
            assert part.seen_total == got.seen_total + seen
            assert part.shipped_total == got.shipped_total + shipped
            assert part.watermark_ms >= got.watermark_ms
            number = 0
            if part.has_rows:
                assert columns is not None
                rows = columns
                if part.rows is not None:
                    rows = columns.take(read_rows(part.rows, columns.num_rows))
                number = rows.num_rows
                names = rows.schema.names
                values = [to_python(rows.column(name)) for name in names]
                found = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
                if batch.states:
                    assert len(batch.parts) == 1
                    got.states += found
                    number, found = sum(int(str(row["*events"])) for row in found), []
                if self.by_arrival:
                    assert all(int(str(row[TIME])) >= got.watermark_ms for row in found)
                got.rows += found
            assert number == shipped
            got.tallies += part.tallies
            got.sequence, got.seen_total = part.sequence, part.seen_total
            got.shipped_total, got.watermark_ms = part.shipped_total, part.watermark_ms

    def of(self, kind: type[AgentMessage]) -> list[AgentMessage]:
        return [message for message in self.messages if isinstance(message, kind)]


class Bench:
    """An agent's core on a bench: `publish` and `tick`, and the jobs at the other ends."""

    def __init__(
        self, settings: Settings | None = None, *, credit: int = PLENTY, streams: str = "s",
        cpu_ns: Callable[[], int] = lambda: 0,
    ) -> None:  # fmt: skip
        self.now_us = START_US
        self.settings = settings or Settings(service="checkout", host="h1")
        self.state = AgentState(
            self.settings, Identity("a1", 42), lambda: self.now_us * 1000, cpu_ns=cpu_ns
        )
        self.streams = {name: Stream(name) for name in streams.split()}
        for stream in self.streams.values():
            self.state.adopt(stream)
        self.jobs: dict[int, Job] = {}
        self.statuses: Counter[Status] = Counter()
        self.job = self.connect(credit=credit)

    def connect(self, link: int = LINK, *, credit: int = PLENTY, name: str = "job") -> Job:
        job = self.jobs[link] = Job(link)
        self._take(self.state.connect(link, self.now_us))
        self.give(Welcome(PROTOCOL, name, credit, self.now_us, self.now_us, self.now_us), link)
        return job

    def give(self, message: Message, link: int = LINK) -> None:
        frames = [bytes(frame) for frame in encode(message)]
        self._take(self.state.receive(link, frames, self.now_us))
        self.state.validate()

    def subscribe(  # noqa: PLR0913 - what a source job may say
        self, query: int, text: str, *, stream: str = "s", link: int = LINK, time: str = "",
        slot_ms: int = 1000, tick: bool = True, source: int = 0, states: bool = False,
    ) -> None:  # fmt: skip
        asked = Subscribe(query, source, stream, text, slot_ms, time, states=states)
        self.give(asked, link)
        if tick:
            self.tick()
            self.tick()

    def unsubscribe(self, query: int, link: int = LINK) -> None:
        self.give(Unsubscribe(query), link)

    def publish(self, *events: object, stream: str = "s") -> None:
        for event in events:
            self.statuses[self.streams[stream].publish(event)] += 1

    def tick(self, after_us: int = 5_000) -> None:
        self.now_us += after_us
        self._take(self.state.tick(self.now_us))
        for job in self.jobs.values():
            while job.unanswered and job.answers:
                sent_us = job.unanswered.pop().sent_us
                there_us = self.now_us + job.ahead_us
                self.give(Beat(sent_us, there_us, there_us), job.link)
        self.state.validate()

    def settle(self) -> None:
        """So long that every tally has gone out."""
        for _ in range(4):
            self.tick(500_000)

    def flush(self) -> None:
        self._take(self.state.flush(self.now_us))

    def goodbye(self) -> None:
        self._take(self.state.goodbye(self.now_us))

    def got(self, query: int = 1, source: int = 0, link: int = LINK) -> Received:
        return self.jobs[link].queries[query, source]

    def refusals(self) -> list[str]:
        return [m.reason for m in self.job.messages if isinstance(m, Refuse)]

    def _take(self, sends: list[Send]) -> None:
        for job in self.jobs.values():
            job.take(sends)
