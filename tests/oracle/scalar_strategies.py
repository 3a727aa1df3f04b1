"""Hypothesis strategies: expressions of scalar functions, and queries whose sources have names."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from mql.language.syntax import (
    Call,
    Condition,
    Everything,
    If,
    Item,
    JoinClause,
    JoinKey,
    Literal,
    Prefix,
    Property,
    Query,
    Value,
)
from mql.language.traverse import map_condition, map_everywhere

SCALAR_TEXTS = [
    *(" 12 ", "1e3", "-5", "007", "0x10", "+1", ".5", "1e400", "9007199254740993", "-0", "2.50"),
    *("18446744073709551616", "ß", "İstanbul", "ǅ", "ΑΣ", "e\u0301", "\xa0x\u3000", "\x1cx"),
    *(" Zed", "😀b", "GET /a/7", "user=joe id=17", "v1.2", "a\nb"),
]
"""Texts that matter to functions, beside those of other events."""

PATTERNS = [
    r"\d+",
    r"(\d+)",
    r"user=(\w+)",
    r"(a)|(b)",
    r"x*",
    r"([a-z])?\d",
    r"/(\w+)\)?",
    "(?i)Z",
]
ONE_VALUE = ["number", "text", "lower", "upper", "trim", "length", "abs", "floor", "ceil", "round"]
SMALL = ["-2", "-1", "0", "1", "2", "3", "5"]


def scalar_calls(
    values: SearchStrategy[Value], tests: SearchStrategy[Condition]
) -> SearchStrategy[Value]:
    """Calls of values, some with others inside; `if` tests conditions without `[*]`."""
    once = _calls(values, tests)
    return st.one_of(once, once, _calls(once, tests))


def _calls(
    values: SearchStrategy[Value], tests: SearchStrategy[Condition]
) -> SearchStrategy[Value]:
    small = st.sampled_from(SMALL).map(lambda text: Literal(int(text), text))
    places: SearchStrategy[Value] = small | values
    return st.one_of(
        st.builds(lambda name, value: Call(name, (value,)), st.sampled_from(ONE_VALUE), values),
        st.builds(lambda value, digits: Call("round", (value, digits)), values, small),
        st.builds(lambda *parts: Call("substring", parts), values, places),
        st.builds(lambda *parts: Call("substring", parts), values, places, places),
        st.builds(
            lambda value, pattern: Call("extract", (value,), pattern),
            values,
            st.sampled_from(PATTERNS),
        ),
        st.lists(values, min_size=1, max_size=3).map(lambda some: Call("coalesce", tuple(some))),
        st.builds(If, tests, values, values),
    )


def with_names(draw: DrawFn, query: Query) -> Query:
    """The same with names for its two sources, and a name before each path into an event."""
    assert query.join is not None
    names = draw(st.sampled_from([("c", "p"), ("left", "right")]))
    streams = draw(st.sampled_from([("t",), query.sources]))
    flips = draw(st.lists(st.booleans(), min_size=4, max_size=4))

    def named(part: Value) -> Value:
        if not isinstance(part, Property):
            return part
        return replace(part, source=names[flips[len(str(part.steps)) % 4]])

    def of_event(value: Value) -> Value:
        return map_everywhere(value, named)

    def item_of(item: Item) -> Item:
        if isinstance(item.value, Everything | Prefix):
            return Item(Property(("g",), source=names[0]))
        return replace(item, value=of_event(item.value))

    keys = tuple(
        JoinKey(replace(key.left, source=names[0]), replace(key.right, source=names[1]))
        for key in query.join.keys
    )
    aliases = {item.alias for item in query.items if item.alias is not None}
    groups = tuple(
        key
        if not key.is_path and key.property.steps[0] in aliases
        else replace(key, property=named(key.property), is_path=True)  # type: ignore[arg-type]
        for key in query.group_by
    )
    return replace(
        query,
        items=tuple(map(item_of, query.items)),
        source_names=names,
        join=JoinClause(streams, query.join.within_ms, keys),
        where=None if query.where is None else map_condition(query.where, of_event),
        group_by=groups,
        having=None,
        order_by=(),
        anomaly=None,
    )
