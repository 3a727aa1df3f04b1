"""The running queries: who asked each, which agents it runs in, and when it ends.

Equal queries share one execution and one subscription in each agent. One that ends by itself is
run by itself, since its answer depends on when it began; so is one that a group shares. Whatever
goes wrong in a query ends that query, with the reason, and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from random import Random

import msgspec

from mql.errors import RunError
from mql.wire.codec import MAX_PAYLOAD, ProtocolError
from mql.wire.messages import Accept, Ended, Part, Subscribe, Unsubscribe
from mql.wire.payload import write_batch
from source_jobs.protocol.agents import Agent, Agents
from source_jobs.protocol.delivery import Audience, Subscriber
from source_jobs.protocol.outbox import Outbox
from source_jobs.protocol.shared_query import NO_GROUP, Key, Running, Sharing, key_of
from source_jobs.protocol.totals import Served
from source_jobs.protocol.work.aside import NOTHING
from source_jobs.protocol.work.schedule import BEHIND_MS, Schedule
from source_jobs.query.answer_pieces import Piece
from source_jobs.query.execution import Execution, check_accept
from source_jobs.query.ledger import SLOTS_MAX
from source_jobs.query.live_query import Question
from source_jobs.query.reporters import ASK_AGAIN_MS, Reporter
from source_jobs.query.shipment import Shipment
from source_jobs.query.steps import Beside
from source_jobs.settings import Settings
from source_jobs.shares import Room, Shares

_MOST_SEED = 2**63
_PART_BYTES = 1_000
"""What a part takes that waits, beside its rows."""
WAITING_NAMED_MAX = 5_000
"""So many queries of which an agent says that they wait are noted."""


@dataclass(slots=True)
class Queries:
    """All running queries, by number."""

    settings: Settings
    agents: Agents
    outbox: Outbox
    random: Random
    schedule: Schedule
    ended: Served = field(default_factory=Served)
    """What the queries came to that have ended, and how many have begun."""
    slots: Room = field(default_factory=lambda: Room(SLOTS_MAX))
    """That of all their ledgers."""

    _by_number: dict[int, Running] = field(default_factory=dict)
    _by_key: dict[Key, Running] = field(default_factory=dict)
    _by_text: dict[tuple[str, str, int, Sharing], Running] = field(default_factory=dict)
    _touched: set[int] = field(default_factory=set)
    _places: Shares = field(init=False)
    _texts: Shares = field(init=False)
    held: Shares = field(init=False)
    """The bytes that all of them hold."""
    _last_number: int = 0
    _patience_ms: int = 0
    _dues: dict[int, int] = field(default_factory=dict)
    _due_ms: int = 0
    blamed: list[Agent] = field(default_factory=list)
    """Those of which something that waited was found to be wrong."""

    def __post_init__(self) -> None:
        """Have room for as many as the settings say."""
        self._places = Shares(self.settings.queries)
        self._texts = Shares(self.settings.text_bytes)
        self.held = Shares(self.settings.held_bytes)

    def validate(self) -> None:
        """Check what always holds; for tests."""
        self._places.validate()
        self._texts.validate()
        self.held.validate()
        assert self.held.used == sum(each.held_bytes for each in self._by_number.values())
        assert self._places.used == len(self._by_number)

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
        return sum(each.execution.question.text_bytes for each in running)

    def find(self, question: Question) -> Running | None:
        """The query that an equal question would share."""
        return self._by_key.get(key_of(question, NO_GROUP, 0))

    def shared(
        self, text: str, time: str, lateness_ms: int, group: Sharing, ttl_ms: int
    ) -> Running | None:
        """The query that runs whose execution who asks this will share."""
        known = self._by_text.get((text, time, lateness_ms if time else 0, group))
        if known is None or self._by_key.get(known.key) is not known or known.is_busy:
            return None
        alone = known.execution.question.window and ttl_ms > 0 and group == NO_GROUP
        return None if alone else known

    def start(
        self,
        question: Question,
        group: Sharing,
        ttl_ms: int,
        now_ms: int,
        client: int = 0,
        owner: bytes = b"",
    ) -> Running | None:
        """The running query for a question, made if there is none; None if there are too many.

        One that is made waits with those of a client, where agents let it wait, and counts among
        those of the owner of a key.
        """
        shared = group != NO_GROUP
        windowed = question.window is not None
        alone = not shared and (question.ends_by_itself or (windowed and ttl_ms > 0))
        key = key_of(question, group, self._last_number + 1 if alone else 0)
        running = self._by_key.get(key)
        if running is not None:  # what has come is for those who were there before
            self.schedule.add(running, now_ms)
            self.schedule.let(running, partial(self._step, now_ms))
            if self._by_key.get(key) is running and not running.is_busy:
                return running
        if self._places.left(owner) < 1 or self._texts.left(owner) < question.text_bytes:
            return None
        self._places.take(owner)
        self._texts.take(owner, question.text_bytes)
        self._last_number += 1
        self.ended.queries += 1
        execution = Execution(self._last_number, question, self.settings.held, now_ms, self.slots)
        seed = self.random.randrange(_MOST_SEED)
        running = Running(key, execution, Audience(shared=shared), seed, client, owner)
        self._by_number[execution.number] = self._by_key[key] = running
        if not alone:
            self._by_text[_asked(running)] = running
        self._touched.add(execution.number)
        for stream in dict.fromkeys(question.streams):
            for agent in self.agents.offering(stream):
                self._ask(running, agent, stream, now_ms)
            for agent in self.agents.vanished(stream):
                self._expect(running, agent, stream, now_ms)
        return running

    def touch(self, running: Running) -> None:
        """Something about a query has changed: look at it again, and when it is due."""
        self._touched.add(running.execution.number)

    def offer(self, agent: Agent, streams: set[str], now_ms: int) -> None:
        """An agent offers streams: ask it what is asked about them."""
        if not streams:
            return
        for running in self._by_number.values():
            for stream in dict.fromkeys(running.execution.question.streams):
                if stream in streams:
                    self._ask(running, agent, stream, now_ms)

    def _ask(self, running: Running, agent: Agent, stream: str, now_ms: int) -> None:
        for source in running.execution.question.sources_of(stream):
            self._ask_source(running, agent, source, now_ms)

    def _expect(self, running: Running, agent: Agent, stream: str, now_ms: int) -> None:
        """An agent that vanished may return: the answer lacks what it publishes until then."""
        reporters, since_ms = running.execution.reporters, agent.heard_us // 1000
        for source in running.execution.question.sources_of(stream):
            reporters.expect(agent.agent, agent.name, source, now_ms, since_ms)

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
                running.client,
            ),
        )

    def ask_again(self, now_ms: int) -> None:
        """Ask those who have not answered."""
        for running in self._by_number.values():
            for name, source in running.execution.reporters.unanswered(now_ms):
                agent = self.agents.named(name)
                if agent is not None and not agent.has_vanished:
                    self._ask_source(running, agent, source, now_ms)

    def note_waiting(self, agent: Agent, numbers: tuple[int, ...]) -> None:
        """An agent says which queries it has not planned yet."""
        before, agent.waiting = agent.waiting, frozenset(numbers[:WAITING_NAMED_MAX])
        for number in before ^ agent.waiting:
            running = self._by_number.get(number)
            if running is not None:
                running.execution.reporters.queue(agent.agent, waits=number in agent.waiting)

    def begin_anew(self, running: Running, agent: Agent, now_ms: int) -> None:
        """An agent runs a query that it has not been asked for: stop it, and ask.

        Not again within a second: it may say so any number of times.
        """
        execution = running.execution
        asked_ms = [r.last_ask_ms or 0 for r in execution.reporters.of_agent(agent.agent)]
        if max(asked_ms, default=0) > now_ms - ASK_AGAIN_MS:
            return
        self.outbox.to_agent(agent.peer, Unsubscribe(execution.number))
        for stream in dict.fromkeys(execution.question.streams):
            if stream in agent.streams:
                self._ask(running, agent, stream, now_ms)

    def lose(self, agent: Agent, now_ms: int, *, left: bool) -> None:
        """An agent says goodbye (`left`), or vanished with its last word."""
        since_ms = now_ms if left else agent.heard_us // 1000
        for running in self._by_number.values():
            reporters = running.execution.reporters
            running.do(partial(reporters.lose, agent.agent, since_ms, left=left))
            self.touch(running)

    def regain(self, agent: Agent, now_ms: int, *, greeted: bool = False) -> None:
        """An agent is there again: what others were asked meanwhile, it is asked now."""
        agent.waiting = frozenset()
        for running in self._by_number.values():
            running.do(partial(self._regain, running, agent, now_ms, greeted=greeted))

    def _regain(self, running: Running, agent: Agent, now_ms: int, *, greeted: bool) -> None:
        reporters = running.execution.reporters
        reporters.regain(agent.agent, greeted=greeted)
        for source, stream in enumerate(running.execution.question.streams):
            if stream in agent.streams and not reporters.was_asked(agent.agent, source):
                self._ask_source(running, agent, source, now_ms)

    def accept(self, running: Running, message: Accept, reporter: Reporter, now_ms: int) -> None:
        """An agent runs a query. Raises ProtocolError for a count that cannot be."""
        check_accept(message)
        running.do(partial(running.execution.accept, message, reporter, now_ms))
        self.touch(running)

    def take(
        self, agent: Agent, part: Part, shipment: Shipment | None, now_ms: int, clock_ms: int
    ) -> bool:
        """Take in one query's part of a batch, if the query runs. Raises ProtocolError.

        Returns whether the agent was asked for it, or for a query that is over.
        """
        running = self._by_number.get(part.query)
        if running is None:
            return True
        reporter = running.execution.reporters.all.get((agent.agent, part.source))
        if reporter is None:
            return False
        take = partial(running.execution.take, part, reporter, shipment, now_ms, clock_ms)
        try:
            if running.is_busy:
                running.execution.check(part, shipment)
                size = 0 if shipment is None or not part.has_rows else shipment.bytes
                running.wait(partial(self._take_later, take, agent), size + _PART_BYTES)
            else:
                take()
            if shipment is not None:
                self._hold(running)
            self._touched.add(part.query)
        except ProtocolError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends one query only
            self._fail(running, error, now_ms)
        return True

    def _take_later(self, take: Callable[[], None], agent: Agent) -> None:
        try:
            take()
        except ProtocolError:
            self.blamed.append(agent)

    def advance(self, now_ms: int) -> None:
        """Let queries go on whose time has come, or for which something has, for a turn."""
        due = set(self._touched)
        if now_ms >= self._due_ms:
            due |= {number for number, due_ms in self._dues.items() if due_ms <= now_ms}
        self._touched.clear()
        for number in sorted(due):
            running = self._by_number.get(number)
            if running is not None:
                self._dues.pop(number, None)
                self.schedule.add(running, now_ms)
        self.schedule.go_on(partial(self._step, now_ms))
        behind = self.schedule.behind(now_ms)
        if behind is not None:
            reason = f"the queries of this client, or its key, are {BEHIND_MS // 1_000} s behind"
            reason += ": they take more time than there is for them; this is the newest"
            self.end(behind, reason, now_ms, failed=True)
        self._due_ms = min(self._dues.values(), default=now_ms + 60_000)

    def be_patient(self, ms: int) -> None:
        """Wait for agents so much longer than the grace time, from now on."""
        if ms != self._patience_ms:
            self._patience_ms = ms
            self._touched |= self._by_number.keys()
            self._due_ms = 0

    def excuse(self, slept_ms: int) -> None:
        """The job itself was away until now: no query had waited for its turn in that time."""
        self.schedule.excuse(self._by_number.values(), slept_ms)

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
        self.schedule.remove(running)
        running.drop()
        if self._by_number.pop(execution.number, None) is not None:
            self._places.give(running.owner)
            self._texts.give(running.owner, execution.question.text_bytes)
            self._let_go(running)
        self._retire(running)
        self.ended.add(execution)
        self.ended.lose(running.audience.members)
        for subscriber in running.audience.members:
            self._tell_end(subscriber, execution, reason, now_ms, failed=failed)
        running.audience.members.clear()
        execution.ledger.let_go()
        for name in dict.fromkeys(agent for agent, _ in execution.reporters.all):
            agent = self.agents.named(name)
            if agent is not None and not agent.has_vanished:
                self.outbox.to_agent(agent.peer, Unsubscribe(execution.number))

    @property
    def _grace_ms(self) -> int:
        return self.settings.grace_ms + self._patience_ms

    def _step(self, now_ms: int, running: Running) -> bool:
        """Do the next of what a query has to do; whether there is more."""
        try:
            if running.steps is not None:
                self._take_step(running, now_ms)
            elif running.waiting:
                running.take_waiting()
                self._hold(running)
            elif running.is_due:
                running.is_due = False
                self._end_with_the_last(running, now_ms)
                running.steps = running.execution.advance(now_ms, self._grace_ms)
            else:
                self._dues[running.execution.number] = running.due_ms(self._grace_ms)
                return False
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends one query only
            self._fail(running, error, now_ms)
        return running.execution.number in self._by_number

    def _take_step(self, running: Running, now_ms: int) -> None:
        steps, done = running.steps, running.done
        assert steps is not None
        running.done = NOTHING
        try:
            step = steps.send(done.value) if done.error is None else steps.throw(done.error)
        except StopIteration:
            running.steps = None
            self._note_advanced(running, now_ms)
            return
        if isinstance(step, Beside):
            running.beside = step
        elif step is not None:
            self._tell(running, step)

    def _note_advanced(self, running: Running, now_ms: int) -> None:
        """See whether a query is over, now that it has gone as far as it can."""
        execution, grace_ms = running.execution, self._grace_ms
        if running.ends:
            self.end(running, "time to live is over", now_ms)
            return
        self._hold(running)
        self._end_lives(running, now_ms)
        if execution.done:
            limited = execution.question.ends_by_itself
            reason = "limit" if limited else "nothing more can come"
            self.end(running, reason, now_ms)
        elif execution.is_over(now_ms, grace_ms) and running.waiting:
            running.is_due = True
        elif execution.is_over(now_ms, grace_ms):
            running.ends, running.steps = True, execution.finish(now_ms)

    def _hold(self, running: Running) -> None:
        """Count what a query holds. Raises RunError where it is more than its owner may have."""
        held_bytes = running.measured_bytes()
        if held_bytes == running.held_bytes:
            return
        self._let_go(running)
        free_bytes = self.held.left(running.owner)
        if held_bytes > free_bytes:
            reason = f"{held_bytes:,} bytes would have to be held, and of the"
            reason += f" {self.held.limit:,} of all queries {max(free_bytes, 0):,} are free to it"
            raise RunError("query", f"{reason}; a shorter window, or a `where`, would do")
        if held_bytes:
            running.held_bytes = held_bytes
            self.held.take(running.owner, held_bytes)

    def _let_go(self, running: Running) -> None:
        if running.held_bytes:
            self.held.give(running.owner, running.held_bytes)
        running.held_bytes = 0

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

    def _tell(self, running: Running, piece: Piece) -> None:
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
        if self._by_text.get(_asked(running)) is running:
            del self._by_text[_asked(running)]


def _asked(running: Running) -> tuple[str, str, int, Sharing]:
    """How a query was asked; another text may ask the same."""
    question = running.execution.question
    return question.text, question.time, question.lateness_ms, running.key[4]
