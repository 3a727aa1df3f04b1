"""What happens in a run, as a value: who is there, how the network is, and what is done when.

A scenario is drawn from a seed before anything runs. Each action has a number, from which it takes
what is random in it, so that leaving out some actions changes nothing about the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from tests.simulator.questions import Asked


@dataclass(frozen=True, slots=True)
class Publish:
    """An agent's service publishes some events, so many µs apart."""

    agent: int
    stream: str
    count: int
    apart_us: int


@dataclass(frozen=True, slots=True)
class Lost:
    """A publisher says that it has lost events before."""

    agent: int
    stream: str
    count: int


@dataclass(frozen=True, slots=True)
class Straggle:
    """A thread of a service has taken a stream's intake, and offers an event a little later."""

    agent: int
    stream: str
    after_us: int


@dataclass(frozen=True, slots=True)
class Dawdle:
    """A call of `publish` takes so long, if its event is wanted."""

    agent: int
    stream: str
    for_us: int


@dataclass(frozen=True, slots=True)
class Offer:
    """A service begins to publish one more stream."""

    agent: int
    stream: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A client subscribes."""

    client: int
    handle: int
    asked: Asked
    group: str = ""
    ttl_ms: int = 0


@dataclass(frozen=True, slots=True)
class Leave:
    """A client ends a subscription."""

    client: int
    handle: int


@dataclass(frozen=True, slots=True)
class Show:
    """A client asks what there is."""

    client: int
    what: str


@dataclass(frozen=True, slots=True)
class Pause:
    """A client's program reads nothing for some time."""

    client: int
    for_us: int


@dataclass(frozen=True, slots=True)
class Drop:
    """A connection breaks. What is under way is lost, or (`lingers`) still reaches the source job.

    The other side of `notices_us` the process knows, and connects anew.
    """

    process: str
    route: int
    lingers: bool
    notices_us: int


@dataclass(frozen=True, slots=True)
class Block:
    """Nothing passes between a process and a source job for some time, one way or both."""

    process: str
    route: int
    to_job: bool
    from_job: bool
    for_us: int


@dataclass(frozen=True, slots=True)
class Slow:
    """All that is sent on a route takes longer for some time."""

    process: str
    route: int
    extra_us: int
    for_us: int


@dataclass(frozen=True, slots=True)
class Stall:
    """A process does nothing for some time."""

    process: str
    for_us: int


@dataclass(frozen=True, slots=True)
class Crash:
    """A process is killed, and started anew after some time."""

    process: str
    for_us: int


@dataclass(frozen=True, slots=True)
class Close:
    """An agent ends as it should, and is started anew after some time."""

    agent: int
    for_us: int


@dataclass(frozen=True, slots=True)
class SetClock:
    """Somebody sets an agent's clock."""

    agent: int
    by_us: int


Deed: TypeAlias = (
    Publish | Lost | Straggle | Dawdle | Offer | Ask | Leave | Show | Pause | Drop | Block | Slow
    | Stall | Crash | Close | SetClock
)  # fmt: skip
FAULTS = (Drop, Block, Slow, Stall, Crash, Close, SetClock, Pause)


@dataclass(frozen=True, slots=True)
class Action:
    """Something that is done at a time, in µs since the beginning."""

    number: int
    at_us: int
    deed: Deed


@dataclass(frozen=True, slots=True)
class Conditions:
    """How fast and how large all is. Times in µs.

    Messages take `delay_us` to so much more; a process goes on `pace_us` after it did last, or
    later. `links` are the source jobs that each agent connects to.
    """

    delay_us: tuple[int, int]
    pace_us: int
    links: tuple[tuple[int, ...], ...]
    skews_us: tuple[int, ...]
    streams: tuple[tuple[str, ...], ...]
    clients: tuple[int, ...]
    phase_us: int
    buffer_events: int
    buffer_bytes: int
    agent_credit: int
    client_credit: int
    queue_bytes: int
    frames: int
    grace_ms: int

    @property
    def is_tight(self) -> bool:
        """Whether something is so small that events are dropped without any fault."""
        return (
            self.buffer_events < 1_000
            or self.buffer_bytes < 1 << 20
            or self.agent_credit < 1 << 20
            or self.client_credit < 1 << 20
            or self.queue_bytes < 1 << 20
        )


@dataclass(frozen=True, slots=True)
class Scenario:
    """A run. Faults end at `calm_us`, and all have to find each other soon after."""

    seed: int
    jobs: int
    conditions: Conditions
    actions: tuple[Action, ...]
    calm_us: int

    @property
    def clock_error_ms(self) -> int | None:
        """By how much an agent may take the source job's clock wrong, if that can be said.

        Half of what a way to and fro may differ, and what counts as none.
        """
        if any(isinstance(a.deed, Slow | Block | Stall | SetClock) for a in self.actions):
            return None
        low_us, high_us = self.conditions.delay_us
        return (high_us - low_us) // 2_000 + 5
