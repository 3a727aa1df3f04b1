"""What events of a source look like, as counts: the names that they have, and values by kind.

A run over recorded events counts a sample of them; what agents tell of a stream is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

import msgspec

from mql.language.paths import AnyElement, Property, Step
from mql.values.kind import Kind

EVENTS_MIN = 1_000
"""Of fewer events, unless they are all, nothing is concluded from a name that none of them has."""

Steps = tuple[Step, ...]


class FieldCounts(msgspec.Struct, frozen=True):
    """The values at a path: how many of each kind, null too; of a path with `[*]` its elements.

    Of its texts `number_texts` are numbers in JSON (None: not counted), of its doubles `rounded`
    were integers of more than 64 bits that no double is equal to. Without kinds only the name is
    known.
    """

    kinds: Mapping[Kind, int] = msgspec.field(default_factory=dict)
    number_texts: int | None = None
    rounded: int = 0

    @property
    def values(self) -> int:
        """How many values are not null."""
        return sum(count for kind, count in self.kinds.items() if kind is not Kind.NULL)


class _Node:
    """A name, and those inside it."""

    __slots__ = ("counts", "inner")

    def __init__(self) -> None:
        self.counts: FieldCounts | None = None
        self.inner: dict[Step, _Node] = {}

    def next(self, step: Step) -> Iterator[_Node]:
        """What a step may lead to: `[*]` to all, an index also to what all elements have."""
        if step is AnyElement.ANY:
            yield from self.inner.values()
            return
        if step in self.inner:
            yield self.inner[step]
        if isinstance(step, int) and AnyElement.ANY in self.inner:
            yield self.inner[AnyElement.ANY]

    def refutes(self, step: Step) -> bool:
        """Whether a value was seen here that a step would have led into, had it not lacked it."""
        kinds = {} if self.counts is None else self.counts.kinds
        seen = {kind for kind, count in kinds.items() if count and kind is not Kind.NULL}
        if isinstance(step, str):
            return bool(seen or self.inner)
        fits = {Kind.LIST, Kind.OBJECT} if step is AnyElement.ANY else {Kind.LIST}
        return bool(seen) and not seen & fits


class SourceProfile(msgspec.Struct, frozen=True, dict=True):
    """What is known of `events` that were looked at, of a source and perhaps one of its services.

    `is_complete` says whether they are all that there are. `fields` have list elements under
    `AnyElement.ANY`. Where names were left out, as `is_cut` says, or lie deeper than `depth`
    steps, nothing is concluded from their absence.
    """

    source: str
    events: int
    is_complete: bool
    fields: Mapping[Steps, FieldCounts]
    service: str | None = None
    is_cut: bool = False
    depth: int | None = None

    def has(self, path: Property) -> bool:
        """Whether an event had a path, or something where it leads."""
        return bool(self._deepest(path.steps)[1] == len(path.steps))

    def has_start(self, prefix: str) -> bool:
        """Whether an event had a top-level key that starts so."""
        return any(str(steps[0]).startswith(prefix) for steps in self.fields)

    def lacks(self, path: Property) -> bool:
        """Whether no event had a path, as far as is to be known.

        Where only null, or lists without elements, stand for what it would lead into, it is not.
        """
        return self.concludes(len(path.steps)) and self.missing_step(path) is not None

    def missing_step(self, path: Property) -> Step | None:
        """The first step of a path that led nowhere where it could have; None if there is none."""
        nodes, length = self._deepest(path.steps)
        if length == len(path.steps):
            return None
        step = path.steps[length]
        return step if length == 0 or any(node.refutes(step) for node in nodes) else None

    def concludes(self, depth: int = 1) -> bool:
        """Whether a name of so many steps is none that events have, if none is known."""
        enough = self.events >= EVENTS_MIN or (self.is_complete and self.events > 0)
        return enough and not self.is_cut and (self.depth is None or depth <= self.depth)

    def counts(self, path: Property) -> FieldCounts | None:
        """What is known of the values at a path; None where that is nothing."""
        found = self.fields.get(path.steps)
        if found is not None:
            return found
        any_index = tuple(AnyElement.ANY if isinstance(s, int) else s for s in path.steps)
        return self.fields.get(any_index)

    def _deepest(self, steps: Steps) -> tuple[list[_Node], int]:
        """What is known as far as a path is known, and how many steps that are."""
        nodes = [self._root]
        for length, step in enumerate(steps):
            following = [found for node in nodes for found in node.next(step)]
            if not following:
                return nodes, length
            nodes = following
        return nodes, len(steps)

    @cached_property
    def _root(self) -> _Node:
        root = _Node()
        for steps, counts in self.fields.items():
            node = root
            for step in steps:
                node = node.inner.setdefault(step, _Node())
            node.counts = counts
        return root


def profiles_of(profiles: Iterable[SourceProfile], sources: tuple[str, ...]) -> list[SourceProfile]:
    """Those of some sources."""
    return [profile for profile in profiles if profile.source in sources]
