"""Hypothesis strategies: whole queries, which cover the language.

They are valid ones whose answer the interpreter can foretell, and name columns that exist. What the
contract lets be read in two ways is not drawn: an expression of an event inside one of aggregates
is a bare property, a column is meant by its name, and no two items have the alias of a group's key.
`parse(format_query(query)) == query` holds for each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from mql.language.format import format_property, format_value
from mql.language.functions import FUNCTIONS
from mql.language.syntax import (
    Aggregate,
    AnomalyClause,
    Arithmetic,
    Call,
    Comparator,
    Comparison,
    Condition,
    Everything,
    GroupKey,
    If,
    Item,
    Literal,
    Prefix,
    Property,
    Provenance,
    Query,
    SortKey,
    Step,
    Tick,
    Value,
    has_aggregate,
    parts_of,
    values_in,
)
from tests.oracle.drawn.events import weighted
from tests.oracle.drawn.sources import (
    condition_of_sources,
    item_of_sources,
    of_sources,
    samples,
    sources,
    values_of_sources,
    windows,
)
from tests.oracle.drawn.values import (
    NUMERIC,
    PROVENANCE,
    computed,
    conditions,
    constants,
    exact,
    literals,
    number,
    numbers,
    operation,
    paths,
)

T = TypeVar("T")

_percentile = partial(Aggregate, "PERCENTILE")
ADDING = ("SUM", "AVERAGE", "STDDEV")
"""Functions that add: in floats a sum of what is not exact depends on its order."""
PERCENTS = ["0", "7", "12.5", "29", "50", "55", "90", "99.9", "100", "1e1", "0.001"]
"""55 per cent of 20 values are 11; floats say a little more."""
GROUP_PATHS: list[tuple[Step, ...]] = [
    *(("g",), ("g",), ("n",), ("a",), ("o",), ("d", "x"), ("l",), ("x y",), ("missing",)),
]


@st.composite
def queries(draw: DrawFn, *, clock: bool = False, wild: bool = False) -> Query:
    """Whole queries; with `clock` some read `tick()`, with `wild` names are odd."""
    properties = paths(wild=wild)
    is_aggregate = draw(st.booleans())
    come = draw(sources())
    names = come.names
    keys = _rarely(draw, _group_paths(), 2 if is_aggregate else 4) or ()
    if is_aggregate:
        drawn = _aggregate_items(draw, properties, keys, clock=clock)
    else:
        some = st.lists(row_items(properties, clock=clock), min_size=1, max_size=4)
        drawn = draw(some.map(tuple))
    items = tuple(item_of_sources(draw, item, names) for item in drawn)
    again = values_of_sources(aggregates(properties), names)
    columns = _columns(items, properties, again, is_aggregate=is_aggregate)
    anomaly = _rarely(draw, _anomalies(columns), 10)
    seen = columns | st.just(Property(("anomalous",))) if anomaly else columns
    where = _rarely(draw, conditions(properties, clock=clock, timed=True), 2)
    return Query(
        items=items,
        sources=come.streams,
        source_names=names,
        join=come.join,
        window=_rarely(draw, windows(), 2),
        where=None if where is None else condition_of_sources(draw, where, names),
        group_by=_group_by(draw, keys, items, names) if keys else (),
        anomaly=anomaly,
        having=_rarely(draw, conditions(seen, clock=clock, of_row=True, depth=1), 5),
        order_by=_rarely(draw, _sort_keys(seen), 3) or (),
        limit=_rarely(draw, st.integers(0, 5), 4),
        sample=_rarely(draw, samples(sticky=len(names) < 2), 10),
    )


# ---- The list ----


def row_items(properties: SearchStrategy[Property], *, clock: bool) -> SearchStrategy[Item]:
    """Items of a row query. No alias is the first key of a path with more steps."""
    fixed = constants(clock=clock)
    alias = st.none() | st.sampled_from(["v0", "v1", "a", "g", "x y", "it's", "", "select"])
    made = computed(properties | fixed)
    path = st.builds(Item, properties, st.none())
    renamed = st.builds(Item, st.one_of(properties, fixed, made, made, PROVENANCE), alias)
    wholes = [Everything(), *map(Prefix, ["n", "x ", "", "it's"])]
    return weighted((4, path), (3, renamed), (1, st.builds(Item, st.sampled_from(wholes))))


def aggregates(
    properties: SearchStrategy[Property], *, clock: bool = False
) -> SearchStrategy[Aggregate]:
    """All functions; some `distinct`, some with a filter, some of an expression."""
    condition: SearchStrategy[Condition | None] = st.none()
    condition = weighted((4, condition), (1, conditions(properties, clock=clock, depth=1)))
    is_distinct = st.sampled_from([False, False, True])
    added = weighted((3, properties), (2, exact(properties)))
    any_value = weighted((3, properties), (2, computed(properties)), (1, PROVENANCE))
    percents = st.sampled_from(PERCENTS).map(number)
    free = [name for name, f in FUNCTIONS.items() if name not in ADDING and not f.takes_percent]
    return weighted(
        (3, st.builds(Aggregate, st.sampled_from(ADDING), added, is_distinct, condition)),
        (9, st.builds(Aggregate, st.sampled_from(free), any_value, is_distinct, condition)),
        (2, st.builds(Aggregate, st.just("COUNT"), st.none(), st.just(False), condition)),
        (3, st.builds(_percentile, any_value, is_distinct, condition, percent=percents)),
    )


def _aggregate_items(
    draw: DrawFn,
    properties: SearchStrategy[Property],
    keys: tuple[Property, ...],
    *,
    clock: bool,
) -> tuple[Item, ...]:
    made = aggregates(properties, clock=clock)
    alias = st.none() | st.sampled_from(["v0", "v1", "v2", "a", "g"])
    fixed = constants(clock=clock)
    of_events = computed(properties | literals()).filter(_reads_an_event)
    other = weighted(
        (2, properties), (1, fixed), (1, PROVENANCE), (3, of_events), (3, _mixed(made, properties))
    )
    items = [*draw(st.lists(st.builds(Item, made, alias), min_size=1, max_size=3))]
    items += draw(st.lists(st.builds(Item, other, alias), max_size=3))
    items += [Item(key) for key in keys if draw(st.booleans())]
    return tuple(draw(st.permutations(items)))


def _mixed(
    made: SearchStrategy[Aggregate], properties: SearchStrategy[Property]
) -> SearchStrategy[Value]:
    """Expressions of aggregates; what else is in them is bare."""
    operands = weighted((4, made), (1, properties), (1, NUMERIC), (1, literals()))
    once = operation(made, operands) | operation(operands, made)
    more = computed(operands, made, 2) | st.builds(If, _tests_of(made), operands, operands)
    return weighted((1, once), (3, more.filter(_is_bare)))


def _tests_of(made: SearchStrategy[Aggregate]) -> SearchStrategy[Condition]:
    return st.builds(Comparison, st.sampled_from(Comparator), made, numbers())


def _reads_an_event(value: Value) -> bool:
    """Whether it does, so that it is computed for each event."""
    return isinstance(value, Property | Provenance) or any(map(_reads_an_event, parts_of(value)))


def _is_bare(value: Value) -> bool:
    """Whether all that reads an event in an expression of aggregates is a property by itself."""
    if not has_aggregate(value):
        return isinstance(value, Property | Literal)
    if isinstance(value, If) and any(map(_reads_an_event, values_in(value.condition))):
        return False
    return all(_is_bare(part) for part in parts_of(value))


# ---- What names columns ----


def _columns(
    items: Sequence[Item],
    properties: SearchStrategy[Property],
    again: SearchStrategy[Value],
    *,
    is_aggregate: bool,
) -> SearchStrategy[Value]:
    """What `having`, `order by` and `anomaly` can name: columns, aggregates selected or not."""
    if any(isinstance(item.value, Everything) for item in items):
        return properties.map(lambda path: path)
    found = [value for item in items for value in _names_of(item, is_aggregate=is_aggregate)]
    columns: SearchStrategy[Value] = st.sampled_from(found)
    return weighted((3, columns), (1, again)) if is_aggregate else columns


def _names_of(item: Item, *, is_aggregate: bool) -> list[Value]:
    match item:
        case Item(Prefix() | Everything()):
            return [Property(("nf.node",))]
        case Item(_, str(alias)):
            return [Property((alias,))]
        case Item(Property() as path):
            column = replace(path, source="")
            return [column, Property((_written(path),))] if is_aggregate else [column]
        case Item(Aggregate(function, argument, percent=percent) as call):
            of = "*" if argument is None else _written(argument)
            of += "" if percent is None else f", {percent.text}"
            return [call, Property((f"{function}({of})",))]
        case Item(Provenance(origin)):
            return [Property((origin.value,))]
        case Item(Tick()):
            return [Property(("tick",))]
        case Item(Literal(_, written)):
            return [Property((written,))]
        case Item(Arithmetic() | Call() | If() as value):
            return [Property((format_value(value),))]
    raise AssertionError(item)


def _written(value: Value) -> str:
    return ".".join(map(str, value.steps)) if isinstance(value, Property) else format_value(value)


def _anomalies(columns: SearchStrategy[Value]) -> SearchStrategy[AnomalyClause]:
    mad = st.builds(
        AnomalyClause,
        st.just("mad"),
        columns,
        st.sampled_from([(1.0, 2.5), (0.5, 1.25), (2.0, 0.5)]),
    )
    parameters = [(0.5, 0.5), (0.25, 0.125, 2.0), (1.0, 0.0, 0.0)]
    return mad | st.builds(AnomalyClause, st.just("des"), columns, st.sampled_from(parameters))


def _sort_keys(columns: SearchStrategy[Value]) -> SearchStrategy[tuple[SortKey, ...]]:
    made = computed(columns, columns, 2)
    values = weighted((4, columns), (1, operation(columns, numbers())), (1, made))
    return st.lists(st.builds(SortKey, values, st.booleans()), min_size=1, max_size=2).map(tuple)


# ---- Groups ----


def _group_paths() -> SearchStrategy[tuple[Property, ...]]:
    made = st.sampled_from(GROUP_PATHS).map(Property)
    return st.lists(made, min_size=1, max_size=2, unique=True).map(tuple)


def _group_by(
    draw: DrawFn, keys: tuple[Property, ...], items: tuple[Item, ...], names: tuple[str, ...]
) -> tuple[GroupKey, ...]:
    """Keys of events, written as paths where a name would mean an item, and names of items."""
    taken = Counter(item.alias for item in items if item.alias is not None)
    whole = {item.alias for item in items if not has_aggregate(item.value)}
    names_of_items = [
        Property((name,)) for name, times in taken.items() if times == 1 and name in whole
    ]
    by_alias = [GroupKey(path) for path in names_of_items if _is_plain(path)]
    found = []
    for key in keys:
        path = of_sources(draw, key, names)
        assert isinstance(path, Property)
        written_out = not _is_plain(path) or key.steps[0] in taken or draw(st.booleans())
        found.append(GroupKey(path, is_path=written_out))
    chosen = [key for key in by_alias if draw(st.booleans())]
    keep = found if not chosen or draw(st.booleans()) else []
    return tuple(draw(st.permutations([*keep, *chosen])))


def _is_plain(path: Property) -> bool:
    return format_property(path) == path.steps[0]


def _rarely(draw: DrawFn, strategy: SearchStrategy[T], one_in: int) -> T | None:
    """Nothing, but for one time in so many."""
    return draw(strategy) if draw(st.integers(1, one_in)) == one_in else None
