"""The ledger: what became of every event, for each query and each span of time.

An agent counts in tallies, a source job adds them up, and every answer carries a `Completeness`.
The parts are disjoint, so that they add up to what was published:

    seen = sampled_out + filtered_out + shipped + dropped (by place)
    shipped = received + lost in transit, received = used + late

What a subscriber was too slow to take is counted apart, since others may have taken it.
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
    `upstream` those that a publisher said it had lost before. `weight` is the most events that one
    stood for that was kept, while the budget sampled; 1 if it did not.
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
            max(self.weight, other.weight),
        )


class Exactness(StrEnum):
    """How to read the numbers of an answer."""

    EXACT = "exact"
    LOWER_BOUND = "lower bound"
    ESTIMATE = "estimate"


class Completeness(msgspec.Struct, frozen=True):
    """How complete an answer is: of a window, or of a second of a query without windows.

    `expected` agents should have reported, `reported` did, `missing` names the others as
    `service@host`. `tally` adds up what all agents counted. `transit` events were sent and never
    came; `late` ones came after their window had closed, `subscriber` rows were given up because
    this subscriber did not take them. `rate` is the share of events that was looked at (1: all),
    where it was least. Where an agent sampled to stay inside its budget, counts and sums are
    scaled, and `errors` says by column how far the true value may be, in 95 of 100 cases, from
    that of any row. A window is `partial` if the query did not run for all of it, and `early` if
    it was closed without waiting any longer for the missing. `refused` agents cannot run the query.
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

    @property
    def lost(self) -> int:
        """Events and rows that the answer should have held, or might have."""
        return self.tally.dropped + self.transit + self.late + self.subscriber

    @property
    def exactness(self) -> Exactness:
        """An estimate if anything was sampled, a lower bound if anything is missing."""
        if self.rate < 1:
            return Exactness.ESTIMATE
        if self.lost or self.missing or self.refused or self.partial:
            return Exactness.LOWER_BOUND
        return Exactness.EXACT

    @property
    def silent(self) -> bool:
        """No agent was there to ask: nothing is known, which is not the same as no events."""
        return self.expected == 0


_NO_COUNTS = ("slot_ms", "weight")
"""What a tally holds beside counts of events."""

_WANTED = ("sampled_out", "filtered_out", "shipped")
"""The counts of a tally that are no loss; all others are places where events were dropped."""


def as_data(known: Completeness) -> dict[str, object]:
    """Completeness as plain data; the counts of `dropped` add up with the others to `seen`.

    >>> as_data(Completeness(0, 1000, tally=Tally(0, shipped=2, buffer=1)))["dropped"]["buffer"]
    1
    """
    data: dict[str, object] = {}
    for name in Completeness.__struct_fields__:
        value = getattr(known, name)
        match value:
            case Tally():
                places = (each for each in Tally.__struct_fields__ if each not in _NO_COUNTS)
                counts = {each: getattr(value, each) for each in places}
                data["seen"] = value.seen
                data |= {each: counts.pop(each) for each in _WANTED}
                data["dropped"] = counts
            case tuple():
                data[name] = list(value)
            case _:
                data[name] = value
        if name == "end_ms":
            data["exactness"] = str(known.exactness)
    return data
