"""Hypothesis strategies: sources with names and without, joins, windows and samples."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from mql.language.syntax import (
    Condition,
    CountWindow,
    Everything,
    Item,
    JoinClause,
    JoinKey,
    Prefix,
    Property,
    RandomSample,
    RateSample,
    SampleClause,
    Step,
    StickySample,
    TimeWindow,
    Value,
)
from mql.language.traverse import map_condition, map_everywhere
from tests.oracle.drawn.events import weighted

JOIN_KEYS: list[tuple[Step, ...]] = [("g",), ("g",), ("n",), ("d", "x"), ("o",)]
NAMES = [("c", "p"), ("left", "right"), ("a", "n")]
"""What sources are called; the last ones are also keys of events."""


@dataclass(frozen=True)
class Sources:
    """What `from` says."""

    streams: tuple[str, ...]
    names: tuple[str, ...] = ()
    join: JoinClause | None = None


@st.composite
def sources(draw: DrawFn) -> Sources:
    """One stream, two that are merged or joined; streams with names, one joined with itself."""
    kind = draw(st.sampled_from(["plain"] * 16 + ["named"] * 2 + ["join"] * 2 + ["named join"] * 3))
    if kind == "plain":
        return Sources(draw(st.sampled_from([("stream",), ("s",), ("s", "t")])))
    names = draw(st.sampled_from(NAMES))
    if kind == "named":
        return Sources(("s",), names[:1])
    paths = st.sampled_from(JOIN_KEYS).map(Property)
    pairs = st.tuples(paths, paths) if kind == "named join" else paths.map(lambda path: (path,) * 2)
    drawn = draw(st.lists(pairs, min_size=1, max_size=2, unique=True))
    within_ms = draw(st.sampled_from([0, 500, 1000, 2500]))
    if kind == "join":
        keys = tuple(JoinKey(*pair) for pair in drawn)
        return Sources(("s",), (), JoinClause(("t",), within_ms, keys))
    here, there = names
    keys = tuple(JoinKey(replace(a, source=here), replace(b, source=there)) for a, b in drawn)
    return Sources(("s",), names, JoinClause((draw(st.sampled_from("st")),), within_ms, keys))


def of_sources(draw: DrawFn, value: Value, names: tuple[str, ...]) -> Value:
    """A value whose paths are each of one of the sources; itself if these have no names."""

    def named(part: Value) -> Value:
        if not isinstance(part, Property):
            return part
        return replace(part, source=draw(st.sampled_from(names)))

    return map_everywhere(value, named) if names else value


def condition_of_sources(draw: DrawFn, condition: Condition, names: tuple[str, ...]) -> Condition:
    """The same for a condition."""
    return map_condition(condition, lambda value: of_sources(draw, value, names))


def item_of_sources(draw: DrawFn, item: Item, names: tuple[str, ...]) -> Item:
    """The same for an item. Of two sources a path with several steps has an alias: its place

    in the row could be that of the other source's.
    """
    if not names:
        return item
    if isinstance(item.value, Everything | Prefix):
        return Item(Property(("g",), source=names[0]))
    value = of_sources(draw, item.value, names)
    is_deep = isinstance(value, Property) and len(value.steps) > 1
    return Item(value, "v9" if is_deep and len(names) > 1 and item.alias is None else item.alias)


@st.composite
def values_of_sources(draw: DrawFn, values: SearchStrategy[Value], names: tuple[str, ...]) -> Value:
    """The same for a strategy of values."""
    return of_sources(draw, draw(values), names)


def windows() -> SearchStrategy[TimeWindow | CountWindow]:
    """Tumbling and sliding ones, ones with gaps, and those of a number of events."""
    spans = [
        *((1000, 1000), (2000, 2000), (500, 500), (2000, 1000)),
        *((3000, 1000), (1500, 500), (1000, 2000), (250, 750)),
    ]
    timed = st.sampled_from(spans).map(lambda pair: TimeWindow(*pair))
    return weighted((3, timed), (1, st.integers(1, 5).map(CountWindow)))


def samples(*, sticky: bool = True) -> SearchStrategy[SampleClause]:
    """Samples that keep all, none, or the first ones: the others are left to chance."""
    rate: SearchStrategy[SampleClause] = st.builds(RateSample, st.integers(0, 3))
    parts = st.sampled_from([(0, 10_000), (10_000, 10_000), (100, 50), (40, 30)])
    by_lot = st.tuples(parts, st.booleans()).map(lambda drawn: RandomSample(*drawn[0], drawn[1]))
    keys = st.sampled_from([("missing",), ("a", "missing"), ("x y", "it's")])
    by_key = st.tuples(keys, st.integers(0, 9), parts, st.booleans()).map(
        lambda drawn: StickySample(drawn[0], drawn[1], *drawn[2], drawn[3])
    )
    return rate | by_lot | by_key if sticky else rate | by_lot
