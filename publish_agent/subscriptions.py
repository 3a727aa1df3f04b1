"""All subscriptions of one stream, and its intakes: the present one and those before it.

One more equality with a property that others ask about, or one less, changes the index of the
intake that is in use. Any other change of subscriptions makes a new intake, swapped in at once; a
caller that still holds the old one writes into that, so old ones are looked at for some time more.
"""

from __future__ import annotations

from dataclasses import dataclass

from publish_agent.catalogue import StreamLog
from publish_agent.decode import Decoder
from publish_agent.generation import Catch, Generation, Group, OffsetOf, Tools
from publish_agent.running import Running
from publish_agent.stream import Peek, Stream

STRAGGLERS = 1_000
"""Drains of an old intake before it is forgotten."""

_PATIENT_LOOKS = 20
"""The first looks at a stream wait for its event: else a slow one would hardly show its fields."""

_STALE_US = 60_000_000
"""A count that began before says little of how many events come now."""

_PER_MEMBER_US = 20
"""Subscriptions change at most so often, for each that there is: a screen takes time to build."""


@dataclass(frozen=True, slots=True)
class Drained:
    """What the intakes of a stream held: verified rows, and how many had come and been dropped."""

    catches: list[Catch]
    kept: int
    dropped: int


class Subscriptions:
    """The subscriptions of one stream."""

    def __init__(self, stream: Stream, tools: Tools) -> None:
        self.stream = stream
        self.members: dict[Running, None] = {}
        self.with_states: dict[Running, None] = {}
        self.changed = False
        self.log = StreamLog(stream.name)
        self._tools = tools
        self._decoder = Decoder(tools.provenance)
        self._present: Generation | None = None
        self._joined: list[Running] = []
        """Those in the present intake that do not count yet."""
        self._before: list[Generation] = []
        self._built_us = 0
        self._peek: Peek | None = None
        self._looks = 0
        self._since_us = self._seen = self._skipped = 0

    @property
    def active(self) -> bool:
        """Whether there is anything to drain."""
        return self._present is not None or bool(self._before)

    def add(self, running: Running) -> None:
        """A query wants this stream's events, from the next `renew` on."""
        self.members[running] = None
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
        self._begin_count(now_us)

    def due_us(self) -> int | None:
        """When a change may be made, if there is one to make."""
        if self._joined:
            return 0
        return self._built_us + len(self.members) * _PER_MEMBER_US if self.changed else None

    def renew(self, now_us: int) -> list[Running]:
        """Make what is due, after a drain. Returns those that run from now on."""
        if self.changed and now_us >= self._built_us + len(self.members) * _PER_MEMBER_US:
            return self._rebuild(now_us)
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
        made = Generation(tuple(self.members), self._decoder, self._tools) if self.members else None
        self.stream.taker = None if made is None else made.taker
        if self._present is not None:
            self._before.append(self._present)
        self._present = made
        return [member for member in self.members if member.start_ms is None]

    def drain(self, now_ms: int, offset_of: OffsetOf) -> Drained:
        """Take what all intakes hold."""
        catches: list[Catch] = []
        seen = dropped = kept = 0
        before = self._present.taker if self._present else None
        for generation in self._generations():
            drain = generation.drain(now_ms, offset_of)
            catches += drain.catches
            seen += drain.seen
            dropped += drain.dropped
            kept += drain.kept
        if self._present is not None and self.stream.taker is before:
            self.stream.taker = self._present.taker
        self._seen += seen
        for generation in self._before:
            generation.drains += 1
        self._before = [
            g
            for g in self._before
            if g.drains < STRAGGLERS and not all(member.ended for member in g.members)
        ]
        return Drained(catches, kept, dropped)

    def spread(self, group: Group) -> None:
        """Book to a group's queries what was counted for all."""
        for generation in self._generations():
            generation.spread(group)

    def spread_to(self, member: Running) -> None:
        """Book to one query what was counted for all."""
        for generation in self._generations():
            generation.spread_to(member)

    def peek(self, now_us: int, span_us: int) -> None:
        """Begin to look at one event, for so long; the first few times for as long as it takes."""
        if now_us - self._since_us > _STALE_US:
            self._begin_count(now_us)
        if self._peek is None:
            span_ns = span_us * 1_000 if self._looks >= _PATIENT_LOOKS else None
            self._peek = Peek(self.stream, self._tools.encode, self._tools.clock_ns, span_ns)
            self.stream.peek = self._peek

    def peeked(self, now_us: int) -> None:
        """End the look, unless it is to wait; and count what came since the last one."""
        span_us, seen = now_us - self._since_us, self._seen - self._skipped
        self._begin_count(now_us)
        if span_us <= _STALE_US:
            self.log.count(seen + self._skipped, max(span_us, 1))
        peek = self._peek
        if peek is None or not (peek.ended or self._looks >= _PATIENT_LOOKS):
            return
        self.stream.peek = self._peek = None
        self._looks += 1
        if peek.example is not None:
            self.log.learn(peek.example)

    def _begin_count(self, now_us: int) -> None:
        self._since_us, self._seen, self._skipped = now_us, 0, self.stream.skipped()

    def validate(self) -> None:
        """Check what always holds; for tests."""
        assert not any(member.ended for member in self.members)
        for generation in self._generations():
            generation.validate()

    def _generations(self) -> list[Generation]:
        return [*self._before, *([self._present] if self._present else [])]
