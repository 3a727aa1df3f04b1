"""A network that delays, loses and breaks, but never reorders within a connection.

A route is the way between a process and a source job, whatever connection uses it; a connection
has a pipe in each direction. What is under way when a connection breaks is lost, or still arrives
at the source job, where what the next connection brings may overtake it. While a route is blocked
its frames wait, as those of TCP do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

Frames = Sequence[bytes]


class Clock(Protocol):
    """What the network needs of its world."""

    now_us: int

    def at(self, time_us: int, call: Callable[[], None]) -> None:
        """Do something at a time."""


class Way:
    """One direction of a route."""

    def __init__(self) -> None:
        self.blocked_until_us = 0
        self.slow_until_us = 0
        self.extra_us = 0


class Route:
    """The way between a process and a source job."""

    def __init__(self, name: str, delay_us: tuple[int, int], seed: int) -> None:
        self.name = name
        self.to_job, self.from_job = Way(), Way()
        self._low_us, self._high_us = delay_us
        self._dice = Random(f"{seed} {name}")

    def delay_us(self, way: Way, now_us: int) -> int:
        """How long a message takes."""
        delay = self._low_us + int((self._high_us - self._low_us) * self._dice.random() ** 3)
        return delay + (way.extra_us if now_us < way.slow_until_us else 0)

    def is_blocked(self, now_us: int) -> bool:
        """Whether no connection can be made."""
        return now_us < max(self.to_job.blocked_until_us, self.from_job.blocked_until_us)

    def heal(self) -> None:
        """End what is wrong with it."""
        for way in (self.to_job, self.from_job):
            way.blocked_until_us = way.slow_until_us = 0


class Pipe:
    """Frames from one end of a connection to the other, in order."""

    def __init__(
        self, world: Clock, route: Route, way: Way, room: int, take: Callable[[Frames], None]
    ) -> None:
        self._world, self._route, self._way, self._take = world, route, way, take
        self._room = room
        self._arrived: deque[Frames] = deque()
        self._last_us = 0
        self._flushes = False
        self.is_closed = self.is_cut = False
        self.under_way = 0
        """How many messages have been sent and have not come."""
        self.lost = 0

    def send(self, frames: Frames) -> bool:
        """Send a message; False if there is no room. Into a broken connection it is lost."""
        if self.is_closed:
            self.lost += 1
            return True
        if self.under_way >= self._room:
            return False
        now_us = self._world.now_us
        self._last_us = max(self._last_us, now_us + self._route.delay_us(self._way, now_us))
        self.under_way += 1
        self._world.at(self._last_us, lambda: self._arrive(frames))
        return True

    def cut(self) -> None:
        """What is under way is lost."""
        self.is_cut = True
        self.lost += self.under_way
        self._arrived.clear()

    def flush(self) -> None:
        """Deliver what has arrived, unless the way is blocked."""
        self._flushes = False
        while self._arrived and not self.is_cut:
            until_us = self._way.blocked_until_us
            if until_us > self._world.now_us:
                self._flush_at(until_us)
                return
            self.under_way -= 1
            self._take(self._arrived.popleft())

    def _arrive(self, frames: Frames) -> None:
        if not self.is_cut:
            self._arrived.append(frames)
            if not self._flushes:
                self.flush()

    def _flush_at(self, time_us: int) -> None:
        self._flushes = True
        self._world.at(time_us, self.flush)


class Connection:
    """A connection of a process to a source job; `peer` is what the source job calls it."""

    def __init__(self, peer: bytes, route: Route) -> None:
        self.peer, self.route = peer, route
        self.to_job: Pipe
        self.from_job: Pipe
        self.is_open = True

    def open(
        self, world: Clock, room: int, to_job: Callable[[Frames], None],
        from_job: Callable[[Frames], None],
    ) -> None:  # fmt: skip
        """Lay the pipes. `room` is how many messages of the process may be under way."""
        self.to_job = Pipe(world, self.route, self.route.to_job, room, to_job)
        self.from_job = Pipe(world, self.route, self.route.from_job, 10_000, from_job)

    def close(self, *, lingers: bool) -> None:
        """Break. With `lingers` what is under way to the source job still arrives."""
        self.is_open = False
        self.to_job.is_closed = self.from_job.is_closed = True
        self.from_job.cut()
        if not lingers:
            self.to_job.cut()

    def heal(self) -> None:
        """The route is free again."""
        self.to_job.flush()
        self.from_job.flush()
