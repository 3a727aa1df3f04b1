"""The generations of a stream that were replaced: callers may still write into their intakes.

The watermark waits for who still writes into an old one, so that is drained each time until nothing
is waited for that began before it was replaced. Later, idle ones are drained in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from publish_agent.capture.under_way import Look

if TYPE_CHECKING:
    from publish_agent.drain.generation import Generation

STRAGGLERS = 1_000
"""Drains of an old intake before it is forgotten."""

_YOUNG = 10
"""So many drains a stream looks at each old intake; then at some of the idle ones, in turn."""
_IN_TURN = 4
"""Older ones at which it looks in a drain."""
OLD_MAX = 100
"""With so many old ones the first is forgotten once it has been one for"""
_OLD_MS = 5_000
"""so long; until then no new intake is made."""


class OldGenerations:
    """Those of one stream, the oldest first."""

    def __init__(self) -> None:
        self.generations: list[Generation] = []
        self._next = 0

    def __bool__(self) -> bool:
        return bool(self.generations)

    def add(self, generation: Generation, now_ms: int, now_ns: int) -> None:
        """One more has been replaced, by the wall clock and by that of events."""
        generation.replaced_ms, generation.replaced_ns = now_ms, now_ns
        self.generations.append(generation)

    def begin_anew(self, now_ms: int, now_ns: int) -> None:
        """The clock was set: all of them count as replaced now."""
        for generation in self.generations:
            generation.replaced_ms, generation.replaced_ns = now_ms, now_ns

    def room_ms(self) -> int:
        """When there is room for one more."""
        if len(self.generations) < OLD_MAX:
            return 0
        return self.generations[0].replaced_ms + _OLD_MS

    def over(self, now_ms: int) -> list[Generation]:
        """Those that are to be forgotten, once they have been drained."""
        over = [
            g
            for g in self.generations
            if (g.drains + 1 >= STRAGGLERS and g.is_settled)
            or all(member.ended for member in g.members)
        ]
        if not over and now_ms >= self.room_ms() > 0:
            over = self.generations[:1]
        return over

    def in_turn(self, is_over: list[Generation]) -> list[Generation]:
        """Those that somebody may write into, or that are over, and some of the others."""
        older = [
            g for g in self.generations if g.drains >= _YOUNG and g.is_idle and g not in is_over
        ]
        if len(older) <= _IN_TURN:
            return self.generations
        self._next = (self._next + _IN_TURN) % len(older)
        in_turn = (older[self._next :] + older)[:_IN_TURN]
        waits = {*older}.difference(in_turn)
        return [g for g in self.generations if g not in waits]

    def drained(self, is_over: list[Generation], look: Look) -> None:
        """They have been drained since a look; those that are over are forgotten."""
        for generation in self.generations:
            generation.drains += 1
            if look.since_ns is None or look.since_ns > generation.replaced_ns:
                generation.is_settled = True
        for generation in is_over:
            generation.accounting.spread_all()
            self.generations.remove(generation)
