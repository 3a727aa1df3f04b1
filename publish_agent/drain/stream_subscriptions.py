"""All subscriptions of one stream, and its intakes: the present one and those before it.

One more equality with a property that others ask about, or one less, changes the index of the
intake that is in use. Any other change of subscriptions makes a new intake, swapped in at once; a
caller that still holds the old one writes into that, so old ones are looked at for some time more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from mql.wire.upstream import Told
from publish_agent.capture.under_way import UnderWay
from publish_agent.capture.upstream_answer import Upstream
from publish_agent.drain.old_generations import OldGenerations
from publish_agent.drain.profiles.profile_taps import ProfileTaps
from publish_agent.drain.tools import Tools
from publish_agent.stream import Stream

if TYPE_CHECKING:
    from mql.language.syntax import Property
    from publish_agent.capture.large_values import Learned
    from publish_agent.capture.value_columns import Span
    from publish_agent.drain.accounting import OffsetOf, SlotGroup
    from publish_agent.drain.decode import Decoder
    from publish_agent.drain.generation import Generation
    from publish_agent.drain.query_factory import QueryFactory
    from publish_agent.drain.subscription import Running
    from publish_agent.drain.verify import Catch

_PER_MEMBER_US = 20
"""Subscriptions change at most so often, for each that there is: a screen takes time to build."""

_TOGETHER_US = 1_000_000
"""While subscriptions wait, those that are planned wait no longer for others to share an intake."""


@dataclass(frozen=True, slots=True)
class Drained:
    """What the intakes of a stream held: verified rows, and how many had come and been dropped.

    No event will come of a time before `since_ns` (None: before this drain). Of some it is `unsure`
    when they came between two times (ms). `has_lost` is whether some are gone of which no query
    knows its own time.
    """

    catches: list[Catch]
    kept: int
    dropped: int
    since_ns: int | None
    unsure: list[Span]
    has_lost: bool


class Subscriptions:
    """The subscriptions of one stream."""

    def __init__(
        self,
        stream: Stream,
        tools: Tools,
        factory: Callable[[], QueryFactory],
        *,
        is_new: bool = True,
    ) -> None:
        self.stream = stream
        self.adopted_ns = tools.clock_ns()
        self.is_new = is_new
        """Whether no source job has yet asked what it would ask of the stream at once."""
        self._unseen_ns = stream.begun_ns or self.adopted_ns
        self.members: dict[Running, None] = {}
        self.with_states: dict[Running, None] = {}
        self.changed = False
        self.taps = ProfileTaps(stream, tools.encode, tools.clock_ns)
        self._tools = tools
        self._under_way = UnderWay(stream.publisher, tools.clock_ns)
        self._factory = factory
        self._decoder: Decoder | None = None
        """One for all generations, made with the first."""
        self._present: Generation | None = None
        self._joined: list[Running] = []
        """Those in the present intake that do not count yet."""
        self._old = OldGenerations()
        self._learned: dict[Property, Learned] = {}
        self.planned_ns = 0
        """What was spent on subscriptions since the present intake was made,"""
        self._built_ns = 0
        """and on that."""
        self._built_us = 0

    @property
    def active(self) -> bool:
        """Whether there is anything to drain."""
        return self._present is not None or bool(self._old)

    @property
    def is_untouched(self) -> bool:
        """Whether no query has had its events, and one that comes may say what it has missed."""
        return self.is_new and not self.active

    def unseen(self) -> tuple[int, int]:
        """How many events no query has seen, and since when (ns) there may be some."""
        return self.stream.unseen(), self._unseen_ns

    def note_unseen(self) -> None:
        """Note, while the stream is new, since when there may be events that no query has seen."""
        if self.is_new and self.stream.unseen() == 0:
            self._unseen_ns = self._tools.clock_ns()

    def add(self, running: Running) -> None:
        """A query wants this stream's events, from the next `renew` on."""
        self.members[running] = None
        running.is_first = self.is_untouched
        if running.states is not None:
            self.with_states[running] = None
        if self._present is not None and self._present.join(running):
            self._joined.append(running)
        else:
            self.changed = True

    def remove(self, running: Running) -> None:
        """A query is over."""
        if running in self.members:
            del self.members[running]
            self.with_states.pop(running, None)
            if running in self._joined:
                self._joined.remove(running)
            if not self.members or self._present is None or not self._present.leave(running):
                self.changed = True

    def begin_anew(self, now_us: int) -> None:
        """The clock was set: what was due later is due now."""
        self._built_us = now_us
        self._old.begin_anew(now_us // 1_000, self._tools.clock_ns())
        self.taps.begin_count(now_us)
        self._under_way.begin_anew()

    def due_us(self) -> int | None:
        """When a change may be made, if there is one to make."""
        if self._joined:
            return 0
        return self._rebuild_us() if self.changed else None

    def _rebuild_us(self) -> int:
        """When the next intake may be made; that for no subscription costs nothing."""
        if not self.members:
            return 0
        planning = self._tools.budget.planning
        due_us = self._built_us + len(self.members) * _PER_MEMBER_US
        if planning.is_crowded and self.planned_ns < self._built_ns:
            due_us = max(due_us, self._built_us + _TOGETHER_US)
        return max(due_us, self._old.room_ms() * 1_000, planning.build_us())

    def renew(self, now_us: int) -> list[Running]:
        """Make what is due, after a drain. Returns those that run from now on."""
        if self.changed and now_us >= self._rebuild_us():
            began_ns = self._tools.cpu_ns()
            begun = self._rebuild(now_us)
            self._built_ns, self.planned_ns = self._tools.cpu_ns() - began_ns, 0
            self._tools.budget.planning.build(self._built_ns)
            return begun
        joined, self._joined = self._joined, []
        for running in joined:
            assert self._present is not None
            self._present.begin(running)
        return joined

    def _rebuild(self, now_us: int) -> list[Running]:
        """Make the intake of the present subscriptions. Returns those that it has new."""
        self.changed = False
        self._joined = []
        self._built_us = now_us
        added = {path for member in self.members for path in member.adds}
        self._learned = {path: known for path, known in self._learned.items() if path in added}
        made = None
        if self.members:
            made = self._made_generation()
        if not self.active:
            self._under_way.begin_anew()  # nobody has looked, and nobody has asked
        self.stream.taker = None if made is None else made.taker
        unseen = self.unseen()
        for member in self.members:
            if member.is_first and member.start_ms is None:
                member.unseen = unseen
        if self._present is not None:  # after the taker was exchanged
            self._old.add(self._present, now_us // 1_000, self._tools.clock_ns())
        self._present = made
        return [member for member in self.members if member.start_ms is None]

    def _made_generation(self) -> Generation:
        factory = self._factory()
        if self._decoder is None:
            self._decoder = factory.decoder()
        return factory.generation(tuple(self.members), self._decoder, self._learned)

    def drain(self, now_ms: int, offset_of: OffsetOf, *, final: bool = False) -> Drained:
        """Take what the intakes hold, all of them if it is `final`."""
        look = self._under_way.look(final=final)
        catches: list[Catch] = []
        unsure: list[Span] = []
        seen = dropped = kept = 0
        has_lost = False
        before = self._present.taker if self._present else None
        upstream = self.stream.upstream
        told = [] if upstream is None else upstream.take()  # before the rows of that time
        is_over = self._old.over(now_ms)
        all_of_them = final or upstream is not None
        old = self._old.generations if all_of_them else self._old.in_turn(is_over)
        for generation in self._with_present(old):
            overdue = look.overdue if generation is self._present else ()
            drains = [generation.drain(now_ms, offset_of, overdue)]
            if upstream is not None:
                drains.append(generation.drain_dated(partial(_ahead_ms, upstream, offset_of)))
            for drain in drains:
                catches += drain.catches
                unsure += drain.unsure
                has_lost |= drain.has_lost
                seen += drain.seen
                dropped += drain.dropped
                kept += drain.kept
        if upstream is not None:
            self._pass_on(upstream, told, offset_of)
        if self._present is not None and self.stream.taker is before:
            self.stream.taker = self._present.taker
        self.taps.count(seen)
        self._old.drained(is_over, look)
        return Drained(catches, kept, dropped, look.since_ns, unsure, has_lost)

    def _pass_on(self, upstream: Upstream, told: list[Told], offset_of: OffsetOf) -> None:
        for member in self.members:
            if member.start_ms is not None:
                clock = member.link, offset_of(member.link)
                member.relayed = member.relayed or upstream.begin(*clock, member.start_ms)
                upstream.pass_on(member.relayed, told, *clock, member.start_ms)

    @property
    def started(self) -> list[Running]:
        """The queries whose source jobs have been told that they run, and may be told of events."""
        return [m for m in self.members if m.start_ms is not None]

    def told(self, link: int) -> list[Running]:
        """The queries of a link that have something to pass on at once."""
        if self.stream.upstream is None:
            return []
        return [m for m in self.members if m.link == link and m.relayed and m.relayed.is_due]

    def spread(self, group: SlotGroup) -> None:
        """Book to a group's queries what was counted for all."""
        for generation in self._generations():
            generation.accounting.spread(group)

    def spread_to(self, member: Running) -> None:
        """Book to one query what was counted for all."""
        for generation in self._generations():
            generation.accounting.spread_to(member)

    def validate(self) -> None:
        """Check what always holds; for tests."""
        assert not any(member.ended for member in self.members)
        for generation in self._generations():
            generation.validate()

    def _generations(self) -> list[Generation]:
        return self._with_present(self._old.generations)

    def _with_present(self, old: list[Generation]) -> list[Generation]:
        return old if self._present is None else [*old, self._present]


def _ahead_ms(upstream: Upstream, offset_of: OffsetOf, link: int) -> int:
    return upstream.ahead_ms(link, offset_of(link))
