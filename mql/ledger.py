"""The ledger: what became of every event, for each query and each span of time.

An agent counts in tallies, a source job adds them up, and every answer carries a `Completeness`.
The parts are disjoint, so that they add up to what was published:

    seen = sampled_out + filtered_out + shipped + dropped (by place)
    shipped = received + lost in transit, received = used + late + no_time

`unseen` stands beside them: a new process published these events before its agent ran the query.
So does `under_way`: these were still being published when the agent waited for them no longer.
Rows that a subscriber was too slow to take are counted apart, since others may have taken them.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Tally(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of the events of one query in one agent, since the tally before.

    `slot_ms` is the start of the span of time that the tally is about; its length is the query's
    pane, or a second. `buffer`, `budget` and `credit` are events dropped: by a full buffer
    (whether or not the query would have wanted them), over the agent's budget, and because the
    source job granted no more bytes. `failed` are events that could not be read as one, and
    `upstream` those that a publisher said it had lost before. `under_way` are no events yet: calls
    of `publish` that may have begun in the slot, and took so long that the agent waited no longer.
    What they publish comes late, and is counted then. `weight` is the most events that one stood
    for that was kept, while the budget sampled; 1 if it did not.
    """

    slot_ms: int
    sampled_out: int = 0
    filtered_out: int = 0
    shipped: int = 0
    buffer: int = 0
    budget: int = 0
    credit: int = 0
    failed: int = 0
    upstream: int = 0
    under_way: int = 0
    weight: int = 1

    @property
    def seen(self) -> int:
        """All events that were published."""
        return self.sampled_out + self.filtered_out + self.shipped + self.dropped

    @property
    def dropped(self) -> int:
        """Events that are gone though the query might have wanted them."""
        return self.buffer + self.budget + self.credit + self.failed + self.upstream

    def __add__(self, other: Tally) -> Tally:
        """The sum, about the slot of this one."""
        return Tally(
            self.slot_ms,
            self.sampled_out + other.sampled_out,
            self.filtered_out + other.filtered_out,
            self.shipped + other.shipped,
            self.buffer + other.buffer,
            self.budget + other.budget,
            self.credit + other.credit,
            self.failed + other.failed,
            self.upstream + other.upstream,
            self.under_way + other.under_way,
            max(self.weight, other.weight),
        )


class Exactness(StrEnum):
    """How to read the numbers of an answer."""

    EXACT = "exact"
    LOWER_BOUND = "lower bound"
    ESTIMATE = "estimate"


CLOCK_UNCERTAINTY_MAX_MS = 10
"""Times of events are good to this. Windows of agents with a less certain clock are estimates."""

GONE_NAMES_MAX = 20
"""An answer names this many agents that are gone. It counts the others."""

_SHARE_STEPS = 1_000


class Gone(msgspec.Struct, frozen=True):
    """An agent that ran the query, vanished without goodbye at `since_ms`, and did not return."""

    name: str
    since_ms: int


class Completeness(msgspec.Struct, frozen=True):
    """How complete an answer is: of a window, or of a second of a query without windows.

    `expected` agents should have reported, `reported` did, `missing` names the others as
    `service@host`; `waiting` of those have the query, and have not planned it yet; `refused` agents
    cannot run it. An agent that vanished without goodbye
    stays expected until it returns, or for a minute; then it is in `gone` (`gone_more` counts the
    names beyond `GONE_NAMES_MAX`). `tally` adds up the counts of all agents. `transit` events were
    sent and never came; `late` ones came after their window had closed; `no_time` ones have no
    readable time where the query names a property for it; `unseen` ones were published by a new
    process before its agent ran the query. `subscriber` rows were given up because this subscriber
    did not take them. `rate` is the least share of events that any agent looked at (1: all). Where
    an agent sampled to stay inside its budget, counts and sums are scaled, and `errors` says by
    column how far the true value may be, in 95 of 100 cases, from that of any row. Of the scaled
    columns in `unstated` that is not known. What was lost beside the sample is covered.

    A window is `partial` if the query did not run for all of it; `covered_ms` is how long it ran
    (None: for all of it). The window is `early` if it closed without waiting any longer for the
    missing. `clock_ms` is the largest uncertainty of a reporter's clock. `gaps` counts the places
    where a part of the answer never came to this reader.
    """

    start_ms: int
    end_ms: int
    expected: int = 0
    reported: int = 0
    missing: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    tally: Tally = Tally(0)
    transit: int = 0
    late: int = 0
    subscriber: int = 0
    rate: float = 1.0
    partial: bool = False
    early: bool = False
    errors: dict[str, float] = {}
    covered_ms: int | None = None
    no_time: int = 0
    unseen: int = 0
    clock_ms: int = 0
    gone: tuple[Gone, ...] = ()
    gone_more: int = 0
    gaps: int = 0
    unstated: tuple[str, ...] = ()
    waiting: int = 0

    @property
    def lost(self) -> int:
        """Events that the answer should have held, or might have.

        The events that an agent's budget left out are not among them: the sample stands for them.
        """
        tally = self.tally
        of_agents = tally.buffer + tally.credit + tally.failed + tally.upstream + tally.under_way
        return of_agents + self.transit + self.late + self.no_time + self.unseen

    @property
    def exactness(self) -> Exactness:
        """How the numbers are to be read, for the time in which the query ran.

        A lower bound if anything is missing, also from a sample; else an estimate if anything was
        sampled, or if it is uncertain in which window an event counts.
        """
        complete = self.expected > 0 and self.reported == self.expected
        if not complete or self.lost or self.subscriber or self.gaps:
            return Exactness.LOWER_BOUND
        if self.rate < 1 or self.clock_ms > CLOCK_UNCERTAINTY_MAX_MS:
            return Exactness.ESTIMATE
        return Exactness.EXACT

    @property
    def share(self) -> float:
        """How much of the truth the answer holds: 0 to 1, rounded down to 0.001.

        covered x agents reported / agents expected x events kept. Sampling does not lower it.

        >>> Completeness(0, 1000, expected=4, reported=3, tally=Tally(0, shipped=9)).share
        0.75
        >>> Completeness(0, 1000).share
        0.0
        """
        if self.expected == 0:
            return 0.0
        span_ms = self.end_ms - self.start_ms
        covered_ms = span_ms if self.covered_ms is None else self.covered_ms
        covered_ms, span_ms = (covered_ms, span_ms) if span_ms > 0 else (1, 1)
        events = self.tally.seen + self.tally.under_way + self.transit + self.unseen
        kept, events = (max(events - self.lost, 0), events) if events else (1, 1)
        part = covered_ms * self.reported * kept
        return part * _SHARE_STEPS // (span_ms * self.expected * events) / _SHARE_STEPS

    @property
    def silent(self) -> bool:
        """No agent was there to ask: nothing is known, which is not the same as no events."""
        return self.expected == 0


_NO_COUNTS = ("slot_ms", "weight")
"""What a tally holds beside counts of events."""

_WANTED = ("sampled_out", "filtered_out", "shipped", "under_way")
"""The counts of a tally that are no drops; all others are places where events were dropped."""


def as_data(known: Completeness) -> dict[str, object]:
    """Completeness as plain data; the counts of `dropped` add up with the others to `seen`.

    >>> as_data(Completeness(0, 1000, tally=Tally(0, shipped=2, buffer=1)))["dropped"]["buffer"]
    1
    """
    data: dict[str, object] = {}
    for name in Completeness.__struct_fields__:
        value = getattr(known, name)
        if name == "covered_ms" and value is None:
            value = known.end_ms - known.start_ms
        match value:
            case Tally():
                places = (each for each in Tally.__struct_fields__ if each not in _NO_COUNTS)
                counts = {each: getattr(value, each) for each in places}
                data["seen"] = value.seen
                data |= {each: counts.pop(each) for each in _WANTED}
                data["dropped"] = counts
            case tuple():
                data[name] = [msgspec.to_builtins(each) for each in value]
            case _:
                data[name] = value
        if name == "end_ms":
            data["exactness"], data["share"] = str(known.exactness), known.share
    return data
