"""The running queries: who asked each, which agents it runs in, and when it ends.

Equal queries share one execution and one subscription in each agent. One that ends by itself is
run by itself, since its answer depends on when it began; so is one that a group shares. Whatever
goes wrong in a query ends that query, with the reason, and no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random

import msgspec

from mql.errors import RunError
from mql.wire.codec import MAX_PAYLOAD, ProtocolError
from mql.wire.messages import Ended, Part, Subscribe, Unsubscribe
from mql.wire.payload import write_batch
from source_jobs.agents import Agent, Agents
from source_jobs.execution import Execution
from source_jobs.outbox import Outbox
from source_jobs.pieces import Piece
from source_jobs.questions import Question
from source_jobs.running import Key, Running, key_of
from source_jobs.served import Served
from source_jobs.settings import Settings
from source_jobs.shipment import Shipment
from source_jobs.subscribers import Audience, Subscriber

_MOST_SEED = 2**63


@dataclass(slots=True)
class Queries:
    """All running queries, by number."""

    settings: Settings
    agents: Agents
    outbox: Outbox
    random: Random
    ended: Served = field(default_factory=Served)
    """What the queries came to that have ended, and how many have begun."""

    _by_number: dict[int, Running] = field(default_factory=dict)
    _by_key: dict[Key, Running] = field(default_factory=dict)
    _touched: set[int] = field(default_factory=set)
    _text_bytes: int = 0
    _last_number: int = 0
    _patience_ms: int = 0
    _dues: dict[int, int] = field(default_factory=dict)
    _due_ms: int = 0

    def __iter__(self) -> Iterator[Running]:
        return iter(list(self._by_number.values()))

    def __len__(self) -> int:
        return len(self._by_number)

    @property
    def due_ms(self) -> int:
        """When `advance` has something to do that nothing from outside will tell."""
        return self._due_ms

    def get(self, number: int) -> Running | None:
        """The query of a number."""
        return self._by_number.get(number)

    def text_bytes(self, numbers: Iterable[int]) -> int:
        """How long the texts of some queries are together."""
        running = filter(None, map(self._by_number.get, numbers))
        return sum(len(each.execution.question.text) for each in running)

    def find(self, question: Question) -> Running | None:
        """The query that an equal question would share."""
        return self._by_key.get(key_of(question, "", 0))

    def start(self, question: Question, group: str, ttl_ms: int, now_ms: int) -> Running | None:
        """The running query for a question, made if there is none; None if there are too many."""
        windowed = question.window is not None
        alone = not group and (question.ends_by_itself or (windowed and ttl_ms > 0))
        key = key_of(question, group, self._last_number + 1 if alone else 0)
        running = self._by_key.get(key)
        if running is not None:
            self._advance(running, now_ms)  # what has come is for those who were there before
            if self._by_key.get(key) is running:
                return running
        text_bytes = self._text_bytes + len(question.text)
        if len(self._by_number) >= self.settings.queries or text_bytes > self.settings.text_bytes:
            return None
        self._last_number += 1
        self.ended.queries += 1
        execution = Execution(self._last_number, question, self.settings.held, now_ms)
        seed = self.random.randrange(_MOST_SEED)
        running = Running(key, execution, Audience(shared=bool(group)), seed)
        self._by_number[execution.number] = self._by_key[key] = running
        self._text_bytes = text_bytes
        self._touched.add(execution.number)
        for stream in dict.fromkeys(question.streams):
            for agent in self.agents.offering(stream):
                self._ask(running, agent, stream, now_ms)
        return running

    def touch(self, running: Running) -> None:
        """Something about a query has changed: look at it again, and when it is due."""
        self._touched.add(running.execution.number)

    def offer(self, agent: Agent, streams: list[str], now_ms: int) -> None:
        """An agent offers streams: ask it what is asked about them."""
        for running in self._by_number.values():
            for stream in dict.fromkeys(running.execution.question.streams):
                if stream in streams:
                    self._ask(running, agent, stream, now_ms)

    def _ask(self, running: Running, agent: Agent, stream: str, now_ms: int) -> None:
        for source, name in enumerate(running.execution.question.streams):
            if name == stream:
                self._ask_source(running, agent, source, now_ms)

    def _ask_source(self, running: Running, agent: Agent, source: int, now_ms: int) -> None:
        execution = running.execution
        execution.reporters.ask(agent.agent, agent.name, source, now_ms)
        self.outbox.to_agent(
            agent.peer,
            Subscribe(
                execution.number,
                source,
                execution.question.streams[source],
                execution.question.text,
                execution.question.slot_ms,
                execution.question.time,
                running.seed,
                execution.question.takes_states,
            ),
        )

    def ask_again(self, now_ms: int) -> None:
        """Ask those who have not answered."""
        for running in self._by_number.values():
            for name, source in running.execution.reporters.unanswered(now_ms):
                agent = self.agents.named(name)
                if agent is not None and not agent.is_gone:
                    self._ask_source(running, agent, source, now_ms)

    def begin_anew(self, running: Running, agent: Agent, now_ms: int) -> None:
        """An agent runs a query that it has not been asked for: stop it, and ask."""
        self.outbox.to_agent(agent.peer, Unsubscribe(running.execution.number))
        self.offer(agent, sorted(agent.streams), now_ms)

    def lose(self, agent: str, now_ms: int, *, left: bool) -> None:
        """An agent is gone; `left`: it has reported all it had."""
        for running in self._by_number.values():
            running.execution.reporters.lose(agent, now_ms, left=left)
            self._touched.add(running.execution.number)

    def regain(self, agent: Agent, now_ms: int, *, greeted: bool = False) -> None:
        """An agent is there again: what others were asked meanwhile, it is asked now."""
        for running in self._by_number.values():
            reporters = running.execution.reporters
            reporters.regain(agent.agent, greeted=greeted)
            for source, stream in enumerate(running.execution.question.streams):
                if stream in agent.streams and (agent.agent, source) not in reporters.all:
                    self._ask_source(running, agent, source, now_ms)

    def take(self, agent: Agent, part: Part, shipment: Shipment | None, now_ms: int) -> None:
        """Take in one query's part of a batch. Raises ProtocolError."""
        running = self._by_number.get(part.query)
        if running is None:
            self.outbox.to_agent(agent.peer, Unsubscribe(part.query))
            return
        reporter = running.execution.reporters.all.get((agent.agent, part.source))
        if reporter is None:
            self.begin_anew(running, agent, now_ms)
            return
        try:
            running.execution.take(part, reporter, shipment, now_ms)
            self._touched.add(part.query)
        except ProtocolError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends one query only
            self._fail(running, error, now_ms)

    def advance(self, now_ms: int) -> None:
        """Let all queries go on whose time has come, or for which something has."""
        everything = now_ms >= self._due_ms
        numbers = list(self._by_number) if everything else sorted(self._touched)
        self._touched.clear()
        for number in numbers:
            running = self._by_number.get(number)
            if running is not None:
                self._advance(running, now_ms)
                if number in self._by_number:
                    self._dues[number] = running.due_ms(self._grace_ms)
        if everything or numbers:
            self._due_ms = min(self._dues.values(), default=now_ms + 60_000)

    def be_patient(self, ms: int) -> None:
        """Wait for agents so much longer than the grace time, from now on."""
        if ms != self._patience_ms:
            self._patience_ms, self._due_ms = ms, 0

    def leave(self, subscriber: Subscriber, now_ms: int) -> None:
        """A subscriber wants no more; without any the query ends."""
        running = self._by_number.get(subscriber.query)
        if running is None or subscriber not in running.audience.members:
            return
        running.audience.members.remove(subscriber)
        self.ended.lose([subscriber])
        if not running.audience.members:
            self.end(running, "", now_ms)

    def end(self, running: Running, reason: str, now_ms: int, *, failed: bool = False) -> None:
        """End a query for all who asked it, and in all agents."""
        execution = running.execution
        self._dues.pop(execution.number, None)
        if self._by_number.pop(execution.number, None) is not None:
            self._text_bytes -= len(execution.question.text)
        self._retire(running)
        self.ended.add(execution)
        self.ended.lose(running.audience.members)
        for subscriber in running.audience.members:
            self._tell_end(subscriber, execution, reason, now_ms, failed=failed)
        running.audience.members.clear()
        for name in dict.fromkeys(agent for agent, _ in execution.reporters.all):
            agent = self.agents.named(name)
            if agent is not None and not agent.is_gone:
                self.outbox.to_agent(agent.peer, Unsubscribe(execution.number))

    @property
    def _grace_ms(self) -> int:
        return self.settings.grace_ms + self._patience_ms

    def _advance(self, running: Running, now_ms: int) -> None:
        execution, grace_ms = running.execution, self._grace_ms
        self._end_with_the_last(running, now_ms)
        try:
            self._tell(running, execution.advance(now_ms, grace_ms))
            self._end_lives(running, now_ms)
            if execution.done:
                limited = execution.question.ends_by_itself
                reason = "limit" if limited else "nothing more can come"
                self.end(running, reason, now_ms)
            elif execution.is_over(now_ms, grace_ms):
                self._tell(running, execution.finish(now_ms))
                self.end(running, "time to live is over", now_ms)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends one query only
            self._fail(running, error, now_ms)

    def _end_with_the_last(self, running: Running, now_ms: int) -> None:
        """Where all have lived long enough the query itself ends, with one of them."""
        members = running.audience.members
        if members and all(s.ends_ms and s.ends_ms <= now_ms for s in members):
            last = members[-1]
            running.execution.end_ms, last.ends_ms = last.ends_ms, None
            self._retire(running)

    def _end_lives(self, running: Running, now_ms: int) -> None:
        """End the answers of those who have lived long enough, while others go on."""
        for subscriber in list(running.audience.members):
            if subscriber.ends_ms and subscriber.ends_ms <= now_ms:
                running.audience.members.remove(subscriber)
                self.ended.lose([subscriber])
                reason = "time to live is over"
                self._tell_end(subscriber, running.execution, reason, now_ms)

    def _tell(self, running: Running, pieces: list[Piece]) -> None:
        for piece in pieces:
            payload = None if piece.batch is None else write_batch(piece.batch)
            if payload is not None and payload.size > MAX_PAYLOAD:
                raise RunError("answer", f"a row of more than {MAX_PAYLOAD:,} bytes")
            running.audience.hear(piece, payload)

    def _tell_end(
        self,
        subscriber: Subscriber,
        execution: Execution,
        reason: str,
        now_ms: int,
        *,
        failed: bool = False,
    ) -> None:
        total = execution.total(subscriber.since, subscriber.start_ms, now_ms)
        total = msgspec.structs.replace(total, subscriber=subscriber.lost_total)
        subscriber.end(Ended(subscriber.request, reason, failed, total))

    def _fail(self, running: Running, error: Exception, now_ms: int) -> None:
        known = isinstance(error, RunError)
        reason = str(error) if known else f"internal error: {type(error).__name__}: {error}"
        self.end(running, reason[:1000], now_ms, failed=True)

    def _retire(self, running: Running) -> None:
        """Nobody can join the query any more."""
        if self._by_key.get(running.key) is running:
            del self._by_key[running.key]
