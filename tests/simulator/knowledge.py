"""What the world knows, apart from the cores: it listens where something is said or done.

Where events are published, where an agent speaks, where a source job hears, and where a client's
program reads. Of the cores it looks at no more than which queries run in an agent and in a source
job, and what an agent takes for the difference between two clocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mql.wire.codec import from_agents
from mql.wire.messages import Accept, Batch, Ended, Goodbye, Heartbeat, Hello, Rejected
from publish_agent.drain.subscription import Running
from source_jobs.client.actions import Closed, Piece, Started
from tests.simulator.network import Frames
from tests.simulator.questions import Asked
from tests.simulator.records import (
    AgentRecord,
    Episode,
    Failure,
    Item,
    JobRecord,
    Published,
    Subscription,
    job_skew_us,
)

if TYPE_CHECKING:
    from tests.simulator.agents import AgentProcess
    from tests.simulator.processes import ClientProcess, JobProcess

_LAST = 30
"""Among so many of an agent's events is the one with the latest time."""
_FARTHEST_MS = 2_000
_WAITED_FOR_US = 250_000
"""So long an agent waits for a `publish` that is under way."""
_FAIR = ("is running", "has not read what it was sent before")
"""How refusals end that a program has to expect."""


class Knowledge:
    """All of it. An agent takes two clocks to be wrong by no more than `clock_error_ms`, if any."""

    def __init__(self, clock_error_ms: int | None) -> None:
        self._clock_error_ms = clock_error_ms
        self.agents: dict[str, AgentRecord] = {}
        self.jobs: dict[str, JobRecord] = {}
        self.subscriptions: list[Subscription] = []
        self.died_us: dict[str, int] = {}
        """When each client was killed."""
        self._open: dict[tuple[str, int], Subscription] = {}
        self.begun_ms: dict[tuple[str, int], int] = {}
        """When each query of each source job began."""
        self._decoder = from_agents()

    # Where events are published

    def running_on(self, process: AgentProcess, stream: str) -> tuple[Running, ...]:
        """The queries that get what is published to a stream now."""
        return self.agents[process.agent].running.get(stream, ())

    def published(self, process: AgentProcess, published: Published) -> None:
        """An event was published."""
        record = self.agents[process.agent]
        record.events.append(published)
        record.pending.append(published)
        record.counted.update(published.queries)

    def lost_before(self, process: AgentProcess, stream: str, count: int) -> None:
        """A publisher said that it has lost events."""
        record = self.agents[process.agent]
        record.lost_pending.append(stream)
        for running in self.running_on(process, stream):
            record.counted[running] += count

    # Where an agent works and speaks

    def drains(self, process: AgentProcess) -> None:
        """An agent is about to look at its events."""
        record, now_ms = self.agents[process.agent], process.now_us // 1000
        offsets = self._reckon(process)
        for event in record.pending:
            for running in event.queries:
                self._check_promise(record, event, running, offsets[running.link])
                self._check_clock(record, running, offsets[running.link])
        for stream in record.lost_pending:
            record.lost.extend((stream, now_ms + offset_ms) for offset_ms in offsets.values())
        record.pending, record.lost_pending = [], []
        for link, offset_ms in offsets.items():
            record.highest_ms[link] = max(record.highest_ms.get(link, offset_ms), offset_ms)

    def killed(self, process: AgentProcess) -> None:
        """An agent's process is gone, and what it had not looked at with it."""
        self._reckon(process)
        self.agents[process.agent].has_ended = True

    def _reckon(self, process: AgentProcess) -> dict[int, int]:
        """Note the times of events as an agent reckons now; what it takes clocks to differ by."""
        now_ms = process.now_us // 1000
        offsets = {n: link.offset.value_ms for n, link in process.state.links.items()}
        for event in self.agents[process.agent].pending:
            for link, offset_ms in offsets.items():
                event.claimed_ms[link] = event.stamp_ms + offset_ms
                event.drained_ms[link] = now_ms + offset_ms
        return offsets

    def stepped(self, process: AgentProcess) -> None:
        """An agent has done what was due: which queries run now?"""
        jobs = self.agents[process.agent].jobs_of
        running: dict[str, list[Running]] = {}
        for link in process.state.links.values():
            for each in link.queries.values():
                if each.start_ms is not None:
                    self.agents[process.agent].by_key[link.number, *each.key] = each
                    jobs.setdefault(each, link.job)
                    self.agents[process.agent].begun_us.setdefault(each, process.world.now_us)
                    running.setdefault(each.message.stream, []).append(each)
        self.agents[process.agent].running = {s: tuple(each) for s, each in running.items()}

    def said(self, process: AgentProcess, link: int, frames: Frames) -> None:
        """An agent says something; whether or not it can be sent."""
        message, _ = self._decoder.decode(frames)
        if not isinstance(message, Batch):
            return
        record = self.agents[process.agent]
        for part in message.parts:
            running = record.by_key.get((link, part.query, part.source))
            if running is None:
                raise Failure("sequence", f"a part of query {part.query}, which does not run")
            if part.sequence != record.sequence.get(running, 0) + 1:
                raise Failure("sequence", f"part {part.sequence} of query {part.query}")
            if part.seen_total > record.counted[running]:
                raise Failure(
                    "counted",
                    f"{process.name}: query {part.query} has seen {part.seen_total} events of "
                    f"{record.counted[running]}",
                )
            record.sequence[running] = part.sequence
            record.said_ms[running] = max(record.said_ms.get(running, 0), part.watermark_ms)

    def _check_promise(
        self, record: AgentRecord, event: Published, running: Running, offset_ms: int
    ) -> None:
        """No event is older than the agent has said that any would be."""
        said_ms = record.said_ms.get(running, 0)
        if event.claimed_ms[running.link] >= said_ms:
            return
        if record.clock_was_set or offset_ms < record.highest_ms.get(running.link, offset_ms):
            event.shaken = True
            return
        if event.took_us > _WAITED_FOR_US:
            return  # the ledger has to say so
        late_ms = said_ms - event.claimed_ms[running.link]
        raise Failure(
            "promise",
            f"{record.process.name}: an event came {late_ms} ms before a watermark that was told",
        )

    def _check_clock(self, record: AgentRecord, running: Running, offset_ms: int) -> None:
        """Where messages take about the same time to and fro, clocks are known well."""
        true_us = job_skew_us(record.jobs[running.link]) - record.process.skew_us
        if self._clock_error_ms is None or record.clock_was_set:
            return
        error_ms = abs(offset_ms - true_us // 1000)
        if error_ms > self._clock_error_ms:
            raise Failure("clock", f"{record.process.name} is wrong by {error_ms} ms")

    # Where a source job hears

    def heard(self, process: JobProcess, peer: bytes, frames: Frames) -> None:
        """A source job looks at a message of an agent."""
        record, now_ms = self.jobs[process.job], process.now_us // 1000
        message, _ = self._decoder.decode(frames)
        if isinstance(message, Hello):
            record.peers[peer], record.agents[message.agent] = message.agent, peer
        agent = record.peers.get(peer)
        if agent is None or record.agents.get(agent) != peer:
            return
        if not isinstance(message, Hello) and process.state.agents.named(agent) is None:
            return  # silent for so long that it is gone: nothing counts before it says hello again
        record.heard_ms.setdefault(agent, []).append(now_ms)
        match message:
            case Hello() | Heartbeat():
                for stream in message.streams:
                    record.offered_ms.setdefault((agent, stream), now_ms)
            case Goodbye():
                record.left_ms[agent] = now_ms
                del record.agents[agent]
            case Batch():
                for part in message.parts:
                    if process.state.queries.get(part.query) is None:
                        continue  # it has ended
                    key = part.query, part.source, agent
                    record.started_ms.setdefault(key, now_ms)
                    runs = record.totals.setdefault(key, [])
                    is_new = part.sequence <= record.sequences.get(key, 0)
                    if not runs or is_new or part.seen_total < runs[-1]:
                        runs.append(part.seen_total)
                    runs[-1], record.sequences[key] = part.seen_total, part.sequence
            case Accept(query, source, start_ms):
                key = query, source, agent
                if start_ms > record.started_ms.get(key, start_ms) and record.totals.get(key):
                    record.totals[key].append(0)  # whatever part of it comes first
                    record.sequences.pop(key, None)
                record.started_ms[key] = start_ms

    def advanced(self, process: JobProcess) -> None:
        """A source job has done what was due."""
        for running in process.state.queries:
            execution = running.execution
            self.begun_ms.setdefault((process.job, execution.number), execution.start_ms)
        if process.state.agents.errors:
            raise Failure("blamed", f"{process.name} says that somebody broke the protocol")

    # Where a program asks and reads

    def asked(self, process: ClientProcess, handle: int, asked: Asked, group: str) -> None:
        """A program has subscribed."""
        made = Subscription(process, handle, asked, group)
        self.subscriptions.append(made)
        self._open[process.client, handle] = made

    def left(self, process: ClientProcess, handle: int) -> bool:
        """A program has had enough, of something that it had asked."""
        subscription = self._open.get((process.client, handle))
        if subscription is None or subscription.is_left:
            return False
        subscription.is_left = True
        return True

    def delivered(self, process: ClientProcess, handle: int, item: Item) -> None:
        """A program is given something."""
        subscription = self._open[process.client, handle]
        match item:
            case Started():
                job = process.state.job
                is_first = self.begun_ms.get((job, item.query)) == item.start_ms
                subscription.episodes.append(Episode(job, item, is_first=is_first))
            case Piece():
                subscription.episodes[-1].pieces.append(item)
            case Ended():
                subscription.ended = item
                if subscription.episodes:
                    subscription.episodes[-1].ended = item
            case Rejected():
                subscription.rejected = item
            case Closed():
                pass

    def replied(self, process: ClientProcess, request: int, result: bytes | Rejected) -> None:
        """A program is shown something."""
        if isinstance(result, Rejected) and not result.reason.endswith(_FAIR):
            raise Failure("refused", f"{process.name}'s request {request}: {result.reason}")

    def latest_ms(self, job: int, now_ms: int) -> int:
        """When something was published last, as a source job may take it, or counted."""
        times = [
            now_ms - (record.process.world.now_us - event.true_us) // 1000 + event.kept_ms(link)
            if record.clock_was_set
            else max(event.claimed_ms.get(link, 0), event.drained_ms.get(link, 0))
            for record in self.agents.values()
            for event in record.events[-_LAST:]
            for link in {running.link for running in event.queries}
            if record.jobs[link] == job
        ]
        return min(max(times, default=0), now_ms + _FARTHEST_MS)

    def events_of(self, streams: Iterable[str]) -> dict[str, list[tuple[AgentRecord, Published]]]:
        """All events of some streams, with who published them."""
        return {
            stream: [
                (record, event)
                for record in self.agents.values()
                for event in record.events
                if event.stream == stream
            ]
            for stream in streams
        }
