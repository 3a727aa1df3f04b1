"""Drains: what the intakes of all streams hold becomes messages for each source job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from mql.wire.messages import Batch, Message, QueryCost, Refuse
from publish_agent.drain.cost.drain_costs import Work
from publish_agent.drain.cost.schedule import Due
from publish_agent.drain.overload import Overload
from publish_agent.drain.tools import Tools
from publish_agent.protocol.late_factory import LateFactory
from publish_agent.protocol.registry import LONGEST_REASON, Queries
from publish_agent.protocol.source_job_link import Link

if TYPE_CHECKING:
    from publish_agent.capture.value_columns import Span
    from publish_agent.drain.accounting import OffsetOf
    from publish_agent.drain.payloads import Load
    from publish_agent.drain.subscription import Running

FAR_MS = 60_000
"""No slot ends so late that this would be too soon to look."""
MARGIN_MS = 10
"""How far the watermark stays behind, at least: nothing that has come is older than that."""

_OVER_BUDGET = (
    "the queries of this client take more of the agent's share of a core than there is, however few"
    " events it looks at: ask fewer at once, or over longer windows, or give the agent more"
    " (cpu_share)"
)

Outgoing = tuple[Link, Message, bytes | None]
"""A message for a source job, and its payload."""


class Drains:
    """The drains of an agent, one after the other; each says when the next is `due`."""

    def __init__(
        self,
        tools: Tools,
        factory: LateFactory,
        queries: Queries,
        links: Mapping[int, Link],
        offset_ms: OffsetOf,
        due: Due,
    ) -> None:
        self._tools = tools
        self._factory = factory
        self._queries = queries
        self._links = links
        self._offset_ms = offset_ms
        self._due = due
        self._overload = Overload()
        self._caught = 0
        self._failed: list[Running] = []
        self._full: list[Running] = []
        self._at_once: list[Running] = []
        """Queries whose windows, by events' own times, may end before the slot of what is lost."""
        self._unsure: list[Span] = []
        """Between which times (ms) it is not known when events of the last drain came."""
        self.dropped = 0
        """Events that were dropped here, by a full buffer or because they cannot be read."""

    def run(
        self, now_us: int, *, final: bool = False, is_flush: bool = False
    ) -> Iterator[Outgoing]:
        """Take what the intakes hold, and give what each source job is to hear of it.

        Nothing waits for more after the `final` one. A flush tells of slots that have not ended.
        """
        budget, room = self._tools.budget, self._tools.room
        now_ms = now_us // 1000
        began_ns = self._tools.cpu_ns() - budget.planning.spent_ns
        held, room.used = room.used, 0
        budget.hold(held)
        loads, kept, since_ms = self._take(now_ms, final=final)
        if is_flush:
            self._full += [r for s in self._queries.streams for r in s.started]
        until_ms = now_ms - MARGIN_MS
        if since_ms is not None:
            until_ms = min(until_ms, since_ms)
        patient = not any(link.row_queries for link in self._links.values())
        self._due.drained(
            now_us,
            self._slot_end_us(now_ms, until_ms),
            kept=kept,
            filled=max(kept / self._tools.buffer_events, held / room.limit),
            patient=patient,
            least_us=budget.pause_us,
        )
        told = sent = 0
        for link in self._links.values():
            watermark_ms = until_ms + link.offset.value_ms
            mine = loads.get(link.number, [])
            if not link.welcomed:
                link.batches(mine, {}, watermark_ms)  # without credit all of it is booked as such
                continue
            link.note_unsure(self._unsure, now_us)
            clock_us = link.clock_us(now_us)
            for batch, payload in self._messages(link, mine, watermark_ms, final=final):
                told += len(batch.parts)
                sent += sum(part.has_rows for part in batch.parts)
                yield link, replace(batch, clock_us=clock_us), payload
        took_ns = self._tools.cpu_ns() - budget.planning.spent_ns - began_ns
        members = [running for stream in self._queries.streams for running in stream.members]
        budget.drained(took_ns, kept, Work(len(members), self._caught, told, sent))
        for running in self._overload.look(budget.queries_excess, members, now_us):
            running.failure = _OVER_BUDGET
            self._failed.append(running)
        for link, refusal in self._failures():
            yield link, refusal, None

    def _slot_end_us(self, now_ms: int, until_ms: int) -> int:
        """When the watermark may have come to the next end of a slot; it has come to a time."""
        ends_ms = [now_ms + FAR_MS]
        for link in self._links.values():
            ahead_ms = link.offset.value_ms
            end_ms = link.slot_end_ms(until_ms + ahead_ms)
            if end_ms is not None:
                ends_ms.append(end_ms - ahead_ms + MARGIN_MS)
        return min(ends_ms) * 1000

    def _take(self, now_ms: int, *, final: bool) -> tuple[dict[int, list[Load]], int, int | None]:
        """The payloads for each link, how many events the intakes had kept, and a time.

        Before that time (ms; None: before this drain) no event will come. The `final` drain waits
        for none.
        """
        loads: dict[int, list[Load]] = {}
        kept, sinces_ns = 0, []
        self._full, self._at_once, self._unsure, self._caught = [], [], [], 0
        for stream in self._queries.streams:
            if not stream.active:
                continue
            drained = stream.drain(now_ms, self._offset_ms, final=final)
            if drained.since_ns is not None:
                sinces_ns.append(drained.since_ns)
            self.dropped += drained.dropped
            kept += drained.kept
            self._unsure += drained.unsure
            if drained.has_lost:
                self._at_once += [r for r in stream.started if r.time is not None]
            for catch in drained.catches:
                self._failed += catch.failed
                self._full += catch.full
                self._caught += catch.caught
                for load in self._factory.get().pack(catch, now_ms):
                    loads.setdefault(load.link, []).append(load)
        self._full += self._too_large()
        if not sinces_ns:
            return loads, kept, None
        return loads, kept, (min(sinces_ns) + self._tools.epoch_ns) // 1_000_000

    def _too_large(self) -> list[Running]:
        """The queries with states, if those hold more than the agent may."""
        with_states = [r for s in self._queries.streams for r in s.with_states]
        held = sum(running.states.bytes for running in with_states if running.states)
        return with_states if held > self._tools.budget.state_bytes else []

    def _messages(
        self, link: Link, loads: list[Load], watermark_ms: int, *, final: bool
    ) -> list[tuple[Batch, bytes | None]]:
        """Messages for a link after a drain: rows, and the tallies that are due, or all of them."""
        due: dict[Running, int] = {}
        for group, told_ms in link.groups_due(watermark_ms, final=final):
            for stream in self._queries.streams:
                stream.spread(group)
            due |= dict.fromkeys(link.members(group), told_ms)
        due |= dict.fromkeys((r for r in self._full if r.link == link.number), watermark_ms)
        for stream in self._queries.streams:
            for running in stream.told(link.number):
                stream.spread_to(running)
                due[running] = watermark_ms
        for running in self._at_once:
            if running.link == link.number:
                self._queries.stream_of(running).spread_to(running)
                due[running] = watermark_ms
        # Whatever is told up to a time is told with all counts up to it.
        for running in dict.fromkeys(s.running for load in loads for s in load.shares):
            self._queries.stream_of(running).spread_to(running)
        return link.batches(loads, due, watermark_ms)

    def costs(self, some: Iterable[Running]) -> tuple[QueryCost, ...]:
        """The costs of some queries up to this moment."""
        costs = []
        for running in some:
            self._queries.stream_of(running).spread_to(running)
            costs.append(running.cost())
        return tuple(costs)

    def _failures(self) -> Iterator[tuple[Link, Refuse]]:
        """End the queries that failed while they ran."""
        failed, self._failed = self._failed, []
        for running in failed:
            if not running.ended:
                link = self._links[running.link]
                self._queries.end(link, running)
                yield link, Refuse(*running.key, running.failure[:LONGEST_REASON])
