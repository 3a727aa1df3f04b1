"""Hypothesis strategies: events of mixed types, and queries that cover the language.

Queries are valid ones whose answer the interpreter can foretell, and name columns that exist.
`parse(format_query(query)) == query` holds for each.
"""

# ruff: noqa: SIM905 - a table of words is easier to read than a list of quoted ones

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from mql.language.format import format_property, format_value
from mql.language.functions import FUNCTIONS
from mql.language.syntax import (
    Aggregate,
    And,
    AnomalyClause,
    AnyElement,
    Arithmetic,
    ArithmeticOperator,
    Between,
    Call,
    Comparator,
    Comparison,
    Condition,
    Constant,
    Contains,
    CountWindow,
    Everything,
    GroupKey,
    If,
    In,
    Item,
    JoinClause,
    JoinKey,
    Like,
    Literal,
    Matches,
    Not,
    Or,
    Origin,
    Prefix,
    Property,
    Provenance,
    Query,
    RandomSample,
    RateSample,
    SampleClause,
    SortKey,
    Step,
    StickySample,
    Tick,
    TimeWindow,
    Value,
    has_aggregate,
)
from tests.oracle.cases import Event, Json, Row
from tests.oracle.scalar_strategies import SCALAR_TEXTS, scalar_calls, with_names

T = TypeVar("T")

PROVENANCE: SearchStrategy[Value] = st.sampled_from(Origin).map(Provenance)

LAST_MS = 6_000
"""Events happen from 0 up to here."""

ANY = AnyElement.ANY

COMMON_TEXTS = ["", "a", "x", "y", "ab", "1", "2.0", "true", "api-prod", "héllo"]
ODD_TEXTS = [
    *'api-test node-1 a%b a_b a.c null 日本 😀 o\'k "b" a/b back\\slash [1,2]'.split(),
    *("two\nlines", "  ", "\x00"),
]
REGEXES = [
    "",
    *r".* \d+ -?\d+(\.\d+)? [a-z]+ a.* .*a.* (x|y|1) true|false \[.*\] \{.*\} .".split(),
    *r"(?i)API-.* ^x$ api-(prod|test) h.llo [^a]* \w+ .{2,3} a/b [12]\.0 日.* a|ab".split(),
    *r"\w+\\\w+ 1|2|12 (?:ab?)* two\nlines".split(),
]
LIKES = ["", "%\n%", *r"% _ a% %a% api-____ h_llo _.0 %1% a_b [% \% %'% .*".split()]
COMMON_NUMBERS = "0 1 2 3 4 5 -1 2.0 0.5 -0.5".split()
ODD_NUMBERS = [
    *"100 1.0 2.50 0.125 1.5E3 -0 007 1e16 1e-3".split(),
    *"9007199254740993 9007199254740992.0 9223372036854775807 9223372036854775808".split(),
    *"0.0 -0.0 999999999999999998 1e18 -9223372036854775808".split(),
]
CONTAINERS: list[Json] = json.loads("""
    [[], {}, [1], [1.0], [1, 2], [2, 1], [true], [null], ["x"], ["a", "b"], [[1], [2]],
     [{"k": "x"}], {"k": 1}, {"k": 1.0}, {"k": null}, {"k": "x", "v": [1]}, {"v": [1], "k": "x"},
     {"x": {"k": 2}}, {"x y": "héllo"}]
""")
EXTREMES: list[Json] = [
    *(2**53, 2**53 + 1, float(2**53), 2**62, 2**63 - 1, -(2**63), 2**63, 2**64, -(10**30), 10**400),
    *(10**18 - 2, 1e18, 10**18 + 1, 2**63 - 1024, -(2.0**63)),
    *(-0.0, 5e-324, 1e16, 1e22, -1e300, 1.7976931348623157e308, float("nan"), float("inf")),
]

NUMERIC_PATHS: list[tuple[Step, ...]] = [("n",), ("n",), ("a",), ("c",), ("d", "x"), ("l", 0, "v")]
FLAT_KEYS = ["a", "b", "c", "g", "n", "o", "nf.node", "x y", "missing"]
DEEP_PATHS: list[tuple[Step, ...]] = [
    *(("d", "x"), ("d", "y", "z"), ("d", "y"), ("d", 0), ("d", -1), ("d",), ("l",)),
    *(("l", 0), ("l", -1), ("l", 1), ("l", 0, "k"), ("l", -1, "v"), ("l", 0, 0), ("l", "p", "k")),
]
ANY_PATHS: list[tuple[Step, ...]] = [
    *(("l", ANY), ("l", ANY, "k"), ("l", ANY, "v"), ("l", ANY, 0)),
    *(("d", ANY), ("d", "y", ANY), ("o", ANY)),
]
WILD_NAMES = ["", *'limit desc by filter e seconds it\'s "hi" a-b a+b e[ -- 1 é'.split()]


def weighted(*parts: tuple[int, SearchStrategy[T]]) -> SearchStrategy[T]:
    """One of several strategies, each with its weight; `one_of` leaves out repeated ones."""
    strategies = [strategy for _, strategy in parts]
    places = [place for place, (weight, _) in enumerate(parts) for _ in range(weight)]
    return st.sampled_from(places).flatmap(strategies.__getitem__)


# ---- Events ----


def texts() -> SearchStrategy[str]:
    """Mostly from a small set, so that values meet their equals."""
    return weighted(
        (8, st.sampled_from(COMMON_TEXTS)),
        (3, st.sampled_from(ODD_TEXTS)),
        (2, st.sampled_from(SCALAR_TEXTS)),
        (1, st.text(max_size=4)),
    )


def scalars(*, extremes: bool = True) -> SearchStrategy[Json]:
    """Small numbers (their sums are exact in floats), texts, booleans, nulls."""
    small: SearchStrategy[Json] = st.integers(-3, 6)
    eighths: SearchStrategy[Json] = st.integers(-32, 48).map(lambda n: n / 8)
    rare: SearchStrategy[Json] = st.sampled_from(EXTREMES) | st.integers(-(2**63), 2**63 - 1)
    odd = rare if extremes else eighths
    return weighted(
        (6, small), (3, eighths), (5, texts()), (2, st.booleans()), (2, st.none()), (1, odd)
    )


def values(*, extremes: bool = True) -> SearchStrategy[Json]:
    """Scalars, and lists and objects of them."""
    simple = scalars(extremes=extremes)
    few: SearchStrategy[Json] = st.sampled_from(CONTAINERS)
    pairs: SearchStrategy[Json] = st.dictionaries(
        st.sampled_from(["k", "x y"]), simple | few, max_size=2
    )
    return weighted((12, simple), (3, few), (1, st.lists(simple | few, max_size=3)), (1, pairs))


def event_bodies(*, extremes: bool = True) -> SearchStrategy[Row]:
    """Objects whose keys may be missing and change their type from one to the next."""
    simple, any_value = scalars(extremes=extremes), values(extremes=extremes)
    pairs: SearchStrategy[Json] = st.fixed_dictionaries({}, optional={"k": simple, "v": any_value})
    objects: SearchStrategy[Json] = st.fixed_dictionaries(
        {},
        optional={"x": simple, "y": st.fixed_dictionaries({}, optional={"z": any_value}) | simple},
    )
    pair_lists: SearchStrategy[Json] = st.lists(pairs, max_size=3)
    pair_objects: SearchStrategy[Json] = st.dictionaries(
        st.sampled_from(["p", "q"]), pairs, max_size=2
    )
    few: SearchStrategy[Json] = st.sampled_from([1, 1.0, "1", True, None, "x", "y", 2])
    return st.fixed_dictionaries(
        {"g": few, "n": weighted((4, st.integers(0, 5)), (1, simple))},
        optional={
            **dict.fromkeys(["a", "b", "c", "o", "nf.node", "x y"], any_value),
            "d": weighted((4, objects), (1, any_value)),
            "l": weighted((4, pair_lists), (1, pair_objects), (1, any_value)),
        },
    )


def events(
    *, in_order: bool = True, extremes: bool = True, max_size: int = 24
) -> SearchStrategy[list[Event]]:
    """Events with their times, which never go back if `in_order`.

    Without `extremes` all numbers are small multiples of 1/8, so that no sum depends on its order.
    """
    times = st.integers(0, LAST_MS) | st.integers(0, LAST_MS // 500).map(lambda n: n * 500)
    pairs = st.tuples(times, event_bodies(extremes=extremes))
    few, many = (
        st.lists(pairs, max_size=max_size // 4),
        st.lists(pairs, min_size=max_size // 3, max_size=max_size),
    )
    some = weighted((1, few), (2, many))
    return some.map(lambda pairs: sorted(pairs, key=lambda pair: pair[0])) if in_order else some


def streams(
    query: Query, *, in_order: bool = True, extremes: bool = True
) -> SearchStrategy[dict[str, list[Event]]]:
    """Events for each source that a query reads."""
    names = dict.fromkeys(query.sources + (query.join.sources if query.join else ()))
    return st.fixed_dictionaries(
        {name: events(in_order=in_order, extremes=extremes) for name in names}
    )


# ---- Values and conditions ----


def literals() -> SearchStrategy[Literal]:
    """Numbers as written, texts, true, false, null."""
    words = [Literal(True, "true"), Literal(False, "false"), Literal(None, "null")]
    quoted = texts().map(lambda text: Literal(text, text))
    return weighted((4, numbers()), (4, quoted), (1, st.sampled_from(words)))


def numbers() -> SearchStrategy[Literal]:
    """Numbers as written."""
    return weighted((4, st.sampled_from(COMMON_NUMBERS)), (1, st.sampled_from(ODD_NUMBERS))).map(
        _number
    )


def _number(text: str) -> Literal:
    value = float(text) if not text.lstrip("-").isdigit() else int(text)
    return Literal(value if -(2**63) <= value < 2**63 else float(value), text)


def _constants(*, clock: bool) -> SearchStrategy[Value]:
    return weighted((9, literals()), (int(clock), st.just(Tick())))


def arithmetic(others: SearchStrategy[Value]) -> SearchStrategy[Value]:
    """An operation, mostly on numbers, at times with another one inside."""
    numeric: SearchStrategy[Value] = st.sampled_from(NUMERIC_PATHS).map(Property)
    operands = weighted((4, numeric), (3, numbers()), (2, others))
    once = operation(operands, operands)
    return weighted((4, once), (1, operation(once, operands)), (1, operation(operands, once)))


def computed(others: SearchStrategy[Value]) -> SearchStrategy[Value]:
    """An operation, or a call of a scalar function, at times of operations."""
    simple = weighted((3, others), (2, st.sampled_from(NUMERIC_PATHS).map(Property)))
    tests = _simple_conditions(simple, weighted((3, literals()), (1, simple)))
    calls = scalar_calls(weighted((4, simple), (1, arithmetic(others))), tests)
    return weighted((2, arithmetic(others)), (2, calls), (1, arithmetic(calls)))


def operation(left: SearchStrategy[Value], right: SearchStrategy[Value]) -> SearchStrategy[Value]:
    """One operation."""
    return st.builds(Arithmetic, st.sampled_from(ArithmeticOperator), left, right)


def conditions(
    properties: SearchStrategy[Value], *, clock: bool = False, paths: bool = True, depth: int = 2
) -> SearchStrategy[Condition]:
    """Conditions on properties; with `paths` some read one that holds `[*]`."""
    constants = _constants(clock=clock)
    many: SearchStrategy[Value] = st.sampled_from(ANY_PATHS).map(Property)
    made = computed(properties | constants)
    lefts = weighted((12, properties), (3, made), (1, constants))
    if paths:
        lefts = weighted((4, lefts), (1, many), (1, operation(many, numbers())))
    rights = weighted((8, constants), (1, properties), (1, made))
    swapped: SearchStrategy[Condition] = st.builds(
        Comparison, st.sampled_from(Comparator), constants, lefts
    )
    simple = _simple_conditions(lefts, rights)
    whole = weighted((12, simple), (2, swapped), (1, st.booleans().map(Constant)))
    for _ in range(depth):
        whole = _compound(whole)
    return whole


def _simple_conditions(
    lefts: SearchStrategy[Value], rights: SearchStrategy[Value]
) -> SearchStrategy[Condition]:
    true = st.just(Literal(True, "true"))
    some = st.lists(rights, min_size=1, max_size=4).map(tuple)
    return weighted(
        (6, st.builds(Comparison, st.sampled_from(Comparator), lefts, rights)),
        (1, st.builds(Comparison, st.just(Comparator.EQ), lefts, true)),
        (2, st.builds(Matches, lefts, st.sampled_from(REGEXES))),
        (1, st.builds(Contains, lefts, rights)),
        (2, st.builds(In, lefts, some)),
        (2, st.builds(Between, lefts, rights, rights)),
        (1, st.builds(Like, lefts, st.sampled_from(LIKES))),
    )


def _compound(inside: SearchStrategy[Condition]) -> SearchStrategy[Condition]:
    several = st.lists(inside, min_size=2, max_size=3).map(tuple)
    return weighted(
        (4, inside),
        (1, st.builds(Not, inside)),
        (1, st.builds(And, several)),
        (1, st.builds(Or, several)),
    )


# ---- Queries ----


def paths(*, wild: bool = False) -> SearchStrategy[Property]:
    """Paths without `[*]`; `wild` ones have keys that need care in a query's text."""
    known = st.sampled_from(FLAT_KEYS).map(lambda key: (key,)) | st.sampled_from(DEEP_PATHS)
    if wild:
        name = st.sampled_from(WILD_NAMES) | st.text(max_size=3)
        steps = st.lists(name | st.integers(-3, 3), max_size=2)
        known = known | st.tuples(name, steps).map(lambda parts: (parts[0], *parts[1]))
    return known.map(Property)


@st.composite
def queries(draw: DrawFn, *, clock: bool = False, wild: bool = False) -> Query:
    """Whole queries; with `clock` some read `tick()`, with `wild` names are odd."""
    properties = paths(wild=wild)
    is_aggregate = draw(st.booleans())
    join = _rarely(draw, _joins(), 12)
    group_by = _rarely(draw, _group_keys(), 2 if is_aggregate else 4) or ()
    if is_aggregate:
        items = _aggregate_items(draw, properties, group_by, clock=clock)
    else:
        items = draw(
            st.lists(row_items(properties, clock=clock), min_size=1, max_size=4).map(tuple)
        )
    columns = _columns(items, properties, is_aggregate=is_aggregate)
    anomaly = _rarely(draw, _anomalies(columns), 10)
    seen = columns | st.just(Property(("anomalous",))) if anomaly else columns
    group_by = _by_alias(draw, group_by, items) if group_by else group_by
    query = Query(
        items=items,
        sources=draw(
            st.sampled_from([("stream",), ("s",)] if join else [("stream",), ("s",), ("s", "t")])
        ),
        join=join,
        window=_rarely(draw, _windows(), 2),
        where=_rarely(draw, conditions(properties, clock=clock), 2),
        group_by=group_by,
        anomaly=anomaly,
        having=_rarely(draw, conditions(seen, clock=clock, paths=False, depth=1), 5),
        order_by=_rarely(draw, _sort_keys(seen), 3) or (),
        limit=_rarely(draw, st.integers(0, 5), 4),
        sample=_rarely(draw, samples(), 10),
    )
    return with_names(draw, query) if join and draw(st.booleans()) else query


def row_items(properties: SearchStrategy[Property], *, clock: bool) -> SearchStrategy[Item]:
    """Items of a row query. No alias is the first key of a path with more steps."""
    constants = _constants(clock=clock)
    alias = st.none() | st.sampled_from(["v0", "v1", "a", "x y", "it's", "", "select"])
    path = st.builds(Item, properties, st.none())
    renamed = st.builds(
        Item, st.one_of(properties, constants, computed(properties | constants), PROVENANCE), alias
    )
    wholes = st.sampled_from(
        [
            Item(Everything()),
            Item(Prefix("n")),
            Item(Prefix("x ")),
            Item(Prefix("")),
            Item(Prefix("it's")),
        ]
    )
    return weighted((4, path), (2, renamed), (1, wholes))


def aggregates(
    properties: SearchStrategy[Property], *, clock: bool = False
) -> SearchStrategy[Aggregate]:
    """All functions; some `distinct`, some with a filter."""
    condition: SearchStrategy[Condition | None] = st.none()
    condition = weighted((4, condition), (1, conditions(properties, clock=clock, depth=1)))
    names = st.sampled_from([name for name, each in FUNCTIONS.items() if not each.takes_percent])
    read = weighted((4, properties), (1, computed(properties)))
    distinct = st.sampled_from([False, False, True])
    plain = st.builds(Aggregate, names, read, distinct, condition)
    percents = st.sampled_from("0 12.5 50 7 99.9 100".split()).map(_number)
    of_rank = st.builds(
        lambda read, distinct, percent: Aggregate("PERCENTILE", read, distinct, percent=percent),
        read,
        distinct,
        percents,
    )
    of_property = weighted((8, plain), (1, of_rank))
    of_all = st.builds(Aggregate, st.just("COUNT"), st.none(), st.just(False), condition)
    return weighted((5, of_property), (1, of_all))


def _aggregate_items(
    draw: DrawFn,
    properties: SearchStrategy[Property],
    group_by: tuple[GroupKey, ...],
    *,
    clock: bool,
) -> tuple[Item, ...]:
    calls = aggregates(properties, clock=clock)
    alias = st.none() | st.sampled_from(["v0", "v1", "v2", "a"])
    compared = st.builds(Comparison, st.just(Comparator.GT), calls, numbers())
    made = (
        operation(calls, calls)
        | operation(calls, numbers())
        | arithmetic(calls | properties | literals())
        | computed(properties | literals())
        | scalar_calls(calls | properties, compared)
    )
    other = weighted((2, properties), (1, _constants(clock=clock)), (3, made), (1, PROVENANCE))
    items = [*draw(st.lists(st.builds(Item, calls, alias), min_size=1, max_size=3))]
    items += draw(st.lists(st.builds(Item, other, alias), max_size=2))
    items += [Item(key.property) for key in group_by if draw(st.booleans())]
    return tuple(draw(st.permutations(items)))


def _columns(
    items: Sequence[Item], properties: SearchStrategy[Property], *, is_aggregate: bool
) -> SearchStrategy[Value]:
    """What `having`, `order by` and `anomaly` can name: columns, aggregates selected or not."""
    if any(isinstance(item.value, Everything) for item in items):
        return properties.map(lambda path: path)
    found: list[Value] = []
    for item in items:
        match item:
            case Item(Prefix() | Everything()):
                found.append(Property(("nf.node",)))
            case Item(_, str(alias)):
                found.append(Property((alias,)))
            case Item(Property() as path):
                found += [path, Property((_dotted(path),))] if is_aggregate else [path]
            case Item(Aggregate(function, argument, percent=None) as call):
                name = "*" if argument is None else _dotted(argument)
                found += [call, Property((f"{function}({name})",))]
            case Item(Aggregate() as call):
                found.append(call)
            case Item(Provenance(origin)):
                found.append(Property((origin.value,)))
            case Item(Tick()):
                found.append(Property(("tick",)))
            case Item(Literal(_, written)):
                found.append(Property((written,)))
            case Item(Arithmetic() | Call() | If() as value):
                found.append(Property((format_value(value),)))
    columns: SearchStrategy[Value] = st.sampled_from(found)
    return weighted((3, columns), (1, aggregates(properties))) if is_aggregate else columns


def _dotted(value: Value) -> str:
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
    values = weighted((4, columns), (1, operation(columns, numbers())))
    return st.lists(st.builds(SortKey, values, st.booleans()), min_size=1, max_size=2).map(tuple)


def _group_keys() -> SearchStrategy[tuple[GroupKey, ...]]:
    keys = st.sampled_from(
        [("g",), ("g",), ("n",), ("a",), ("o",), ("d", "x"), ("l",), ("x y",), ("missing",)]
    )
    made = keys.map(Property).map(lambda path: GroupKey(path, is_path=not _is_plain(path)))
    return st.lists(made, min_size=1, max_size=2, unique=True).map(tuple)


def _by_alias(
    draw: DrawFn, group_by: tuple[GroupKey, ...], items: tuple[Item, ...]
) -> tuple[GroupKey, ...]:
    """The keys, at times with names that `as` gives; those of an aggregate are written as paths."""
    named = [item for item in items if item.alias is not None]
    whole = {item.alias for item in named if not has_aggregate(item.value)}
    taken = {item.alias for item in named if has_aggregate(item.value)}
    keys = [
        GroupKey(key.property, is_path=True) if key.property.steps[0] in taken else key
        for key in group_by
    ]
    chosen = [Property((name,)) for name in sorted(whole - taken) if draw(st.integers(0, 2)) == 0]
    keys += [GroupKey(path) for path in chosen if _is_plain(path)]
    return tuple(dict.fromkeys(keys))


def _is_plain(path: Property) -> bool:
    return format_property(path) == path.steps[0]


def _joins() -> SearchStrategy[JoinClause]:
    keys = st.sampled_from(
        [(("g",),), (("g",),), (("n",),), (("g",), ("n",)), (("d", "x"),), (("o",),)]
    )
    properties = keys.map(lambda some: tuple(JoinKey(Property(k), Property(k)) for k in some))
    return st.builds(JoinClause, st.just(("t",)), st.sampled_from([0, 500, 1000, 2500]), properties)


def _windows() -> SearchStrategy[TimeWindow | CountWindow]:
    spans = [
        (1000, 1000),
        (2000, 2000),
        (500, 500),
        (2000, 1000),
        (3000, 1000),
        (1500, 500),
        (1000, 2000),
        (250, 750),
    ]
    timed = st.sampled_from(spans).map(lambda pair: TimeWindow(*pair))
    return weighted((3, timed), (1, st.integers(1, 5).map(CountWindow)))


def samples() -> SearchStrategy[SampleClause]:
    """Samples that keep all, none, or the first ones: the others are left to chance."""
    rate: SearchStrategy[SampleClause] = st.builds(RateSample, st.integers(0, 3))
    parts = st.sampled_from([(0, 10_000), (10_000, 10_000), (100, 50), (40, 30)])
    by_lot = st.tuples(parts, st.booleans()).map(lambda drawn: RandomSample(*drawn[0], drawn[1]))
    keys = st.sampled_from([("missing",), ("a", "missing"), ("x y", "it's")])
    by_key = st.tuples(keys, st.integers(0, 9), parts, st.booleans()).map(
        lambda drawn: StickySample(drawn[0], drawn[1], *drawn[2], drawn[3])
    )
    return rate | by_lot | by_key


def _rarely(draw: DrawFn, strategy: SearchStrategy[T], one_in: int) -> T | None:
    """Nothing, but for one time in so many."""
    return draw(strategy) if draw(st.integers(1, one_in)) == one_in else None
