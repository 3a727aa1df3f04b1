"""Syntax back to text, in one canonical spelling: `parse(format_query(tree)) == tree`."""

from __future__ import annotations

import re
from typing import assert_never

from mql.language.paths import format_path as format_path  # noqa: PLC0414 - as all others
from mql.language.paths import format_property as format_property  # noqa: PLC0414 - as all others
from mql.language.paths import is_plain_name
from mql.language.quoting import quote
from mql.language.syntax import (
    Aggregate,
    And,
    Arithmetic,
    ArithmeticOperator,
    Between,
    Call,
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
    JoinKey,
    Like,
    Literal,
    Matches,
    Not,
    Or,
    Prefix,
    Property,
    Provenance,
    Query,
    RandomSample,
    RateSample,
    SampleClause,
    StickySample,
    Tick,
    TimeWindow,
    Value,
    WindowClause,
)

_TIGHT = {ArithmeticOperator.MULTIPLY, ArithmeticOperator.DIVIDE, ArithmeticOperator.REMAINDER}


def format_query(query: Query) -> str:
    """The canonical text of a query, on one line."""
    parts = ["select " + ", ".join(map(format_item, query.items))]
    named = iter(query.source_names)
    parts.append("from " + ", ".join(_source(s, next(named, "")) for s in query.sources))
    if query.join:
        keys = ", ".join(map(format_join_key, query.join.keys))
        others = ", ".join(_source(s, next(named, "")) for s in query.join.sources)
        parts.append(f"join {others} {format_seconds(query.join.within_ms)} seconds on {keys}")
    if query.window:
        parts.append(format_window(query.window))
    if query.where:
        parts.append("where " + format_condition(query.where))
    if query.group_by:
        parts.append("group by " + ", ".join(map(_group_key, query.group_by)))
    if query.anomaly:
        numbers = " ".join(map(_number, query.anomaly.parameters))
        parts.append(
            f"anomaly {query.anomaly.method} {format_value(query.anomaly.subject)} {numbers}"
        )
    if query.having:
        parts.append("having " + format_condition(query.having))
    if query.order_by:
        keys = ", ".join(format_value(k.value) + " desc" * k.descending for k in query.order_by)
        parts.append("order by " + keys)
    if query.limit is not None:
        parts.append(f"limit {query.limit}")
    if query.sample:
        parts.append(format_sample(query.sample))
    return " ".join(parts)


def format_item(item: Item) -> str:
    """One entry of the select list, with its `as`."""
    match item.value:
        case Everything():
            text = "*"
        case Prefix(start):
            text = f"e[^{quote(start)}]"
        case value:
            text = format_value(value)
    return text if item.alias is None else f"{text} as {quote(item.alias)}"


def format_value(value: Value) -> str:
    """A value; an expression's parts are separated by single blanks."""
    match value:
        case Property():
            return format_property(value)
        case Literal(str(text)):
            return quote(text)
        case Literal(_, text):
            return text
        case Tick():
            return "tick()"
        case Provenance(origin):
            return f"{origin.value}()"
        case Call(function, arguments, pattern):
            taken = [*map(format_value, arguments)]
            taken += [] if pattern is None else [f"/{_escape_slashes(pattern)}/"]
            return f"{function}({', '.join(taken)})"
        case If(condition, then, otherwise, _):
            chosen = f"{format_value(then)}, {format_value(otherwise)}"
            return f"if({format_condition(condition)}, {chosen})"
        case Arithmetic(operator, left, right, _):
            second = _operand(right, operator, right=True)
            return f"{_operand(left, operator)} {operator.value} {second}"
        case Aggregate():
            return format_aggregate(value)
        case _:
            assert_never(value)


def format_aggregate(aggregate: Aggregate) -> str:
    """`sum(distinct a) filter (where …)`."""
    argument = "*" if aggregate.argument is None else format_value(aggregate.argument)
    percent = "" if aggregate.percent is None else f", {aggregate.percent.text}"
    text = f"{aggregate.function.lower()}({'distinct ' * aggregate.distinct}{argument}{percent})"
    if aggregate.condition is None:
        return text
    return f"{text} filter (where {format_condition(aggregate.condition)})"


def format_condition(condition: Condition) -> str:
    """A condition, with the parentheses it needs."""
    match condition:
        case Constant(value):
            return "true" if value else "false"
        case Comparison(operator, left, right):
            return f"{format_value(left)} {operator.value} {format_value(right)}"
        case Matches(left, pattern):
            return f"{format_value(left)} ==~ /{_escape_slashes(pattern)}/"
        case Contains(left, right):
            return f"{format_value(left)} ==+ {format_value(right)}"
        case In(left, choices):
            return f"{format_value(left)} in ({', '.join(map(format_value, choices))})"
        case Between(left, low, high):
            return f"{format_value(left)} between {format_value(low)} and {format_value(high)}"
        case Like(left, pattern):
            return f"{format_value(left)} like {quote(pattern)}"
        case Not(inner):
            text = format_condition(inner)
            return f"not ({text})" if isinstance(inner, And | Or) else f"not {text}"
        case And(conditions):
            return " and ".join(_grouped(c, And | Or) for c in conditions)
        case Or(conditions):
            return " or ".join(_grouped(c, Or) for c in conditions)
        case _:
            assert_never(condition)


def format_window(window: WindowClause) -> str:
    """`window 10 2` or `window |100|`."""
    match window:
        case CountWindow(count):
            return f"window |{count}|"
        case TimeWindow(span_ms, shift_ms):
            shift = f" {format_seconds(shift_ms)}" if shift_ms != span_ms else ""
            return f"window {format_seconds(span_ms)}{shift}"
        case _:
            assert_never(window)


def format_sample(sample: SampleClause) -> str:
    """The sample clause in its long form."""
    match sample:
        case RandomSample(threshold, factor):
            inner = f"'strategy': 'RANDOM', 'threshold': {threshold}, 'factor': {factor}"
        case StickySample(keys, salt, threshold, factor):
            names = ", ".join(map(quote, keys))
            inner = (
                f"'strategy': 'STICKY', 'keys': [{names}], 'salt': {salt}, "
                f"'threshold': {threshold}, 'factor': {factor}"
            )
        case RateSample(threshold):
            inner = f"'strategy': 'RPS', 'threshold': {threshold}"
        case _:
            assert_never(sample)
    scales = not isinstance(sample, RateSample) and sample.extrapolate
    extrapolate = ", 'extrapolate': true" if scales else ""
    return f"sample {{{inner}{extrapolate}}}"


def format_seconds(span_ms: int) -> str:
    """Milliseconds as seconds, without a trailing `.0`.

    >>> format_seconds(1500), format_seconds(10000)
    ('1.5', '10')
    """
    return _number(span_ms / 1000)


def format_stream(stream: str) -> str:
    """A stream as `from` takes it.

    >>> format_stream("logins"), format_stream("shop orders")
    ('logins', "'shop orders'")
    """
    return stream if is_plain_name(stream) else quote(stream)


def format_join_key(key: JoinKey) -> str:
    """`k`, or `a['k'] = b['l']`."""
    left = format_property(key.left)
    return left if key.left == key.right else f"{left} = {format_property(key.right)}"


def _group_key(key: GroupKey) -> str:
    return format_path(key.property) if key.is_path else format_property(key.property)


def _source(stream: str, name: str) -> str:
    return f"{format_stream(stream)} as {name}" if name else format_stream(stream)


def _number(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)


def _operand(value: Value, parent: ArithmeticOperator, *, right: bool = False) -> str:
    text = format_value(value)
    if not isinstance(value, Arithmetic):
        return text
    looser = parent in _TIGHT and value.operator not in _TIGHT
    same = (parent in _TIGHT) == (value.operator in _TIGHT)
    return f"({text})" if looser or (right and same) else text


def _grouped(condition: Condition, kinds: object) -> str:
    text = format_condition(condition)
    return f"({text})" if isinstance(condition, kinds) else text  # type: ignore[arg-type]


def _escape_slashes(pattern: str) -> str:
    return re.sub(r"\\.|/", lambda m: "\\/" if m[0] == "/" else m[0], pattern, flags=re.DOTALL)
