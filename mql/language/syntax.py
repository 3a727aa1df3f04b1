"""The syntax tree of MQL: what a query says, nothing about how it runs.

Frozen dataclasses in closed unions; use `match` with `assert_never`, so that the type checker
lists every place to change when a node is added. Spans point into the query's text and do not
take part in equality: `parse(format_query(tree)) == tree`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, assert_never

from mql.errors import Span

# What a path is, an agent without a query needs, too: it is a module of its own, and named here.
from mql.language.paths import NOWHERE as NOWHERE  # noqa: PLC0414
from mql.language.paths import RESERVED as RESERVED  # noqa: PLC0414
from mql.language.paths import AnyElement as AnyElement  # noqa: PLC0414
from mql.language.paths import Property as Property  # noqa: PLC0414
from mql.language.paths import Step as Step  # noqa: PLC0414

Scalar = None | bool | int | float | str


@dataclass(frozen=True, slots=True)
class Prefix:
    """`e[^'pre']`: every top-level key that starts with a text."""

    start: str
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant. `text` is how a number was written; it names the column it makes."""

    value: Scalar
    text: str
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Tick:
    """`tick()`: now, in ms since 1970."""

    span: Span = field(default=NOWHERE, compare=False, repr=False)


class Origin(Enum):
    """What an event carries beside its keys: its time in ms, and where it comes from."""

    TIME = "time"
    SERVICE = "service"
    HOST = "host"
    VERSION = "version"


@dataclass(frozen=True, slots=True)
class Provenance:
    """`time()`, `service()`, `host()`, `version()`.

    A plan has the first only: the others are read where the agent puts them (`e['_agent']`).
    """

    origin: Origin
    span: Span = field(default=NOWHERE, compare=False, repr=False)


class ArithmeticOperator(Enum):
    """`+ - * / %`."""

    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"
    REMAINDER = "%"


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left op right`."""

    operator: ArithmeticOperator
    left: Value
    right: Value
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """`lower(a)`; `function` is a name in `scalars.SCALARS`, `pattern` the regex of `extract`."""

    function: str
    arguments: tuple[Value, ...]
    pattern: str | None = None
    span: Span = field(default=NOWHERE, compare=False, repr=False)
    pattern_span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class If:
    """`if(condition, then, otherwise)`."""

    condition: Condition
    then: Value
    otherwise: Value
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`sum(distinct a) filter (where …)`; `function` is a name in `functions.FUNCTIONS`.

    `argument` is None for `count(*)`; `percent` is the q of `percentile(a, q)`.
    """

    function: str
    argument: Value | None
    distinct: bool = False
    condition: Condition | None = None
    span: Span = field(default=NOWHERE, compare=False, repr=False)
    percent: Literal | None = None


Value = Property | Literal | Tick | Provenance | Arithmetic | Call | If | Aggregate


class Comparator(Enum):
    """The operators of equality and order."""

    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


@dataclass(frozen=True, slots=True)
class Constant:
    """`true` or `false` as a whole condition."""

    value: bool
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left op right`. A bare `flag` is `flag == true`."""

    operator: Comparator
    left: Value
    right: Value


@dataclass(frozen=True, slots=True)
class Matches:
    """`left ==~ /regex/`: the whole text of the value matches an RE2 pattern."""

    left: Value
    pattern: str
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Contains:
    """`left ==+ right`: the text of the left holds the text of the right."""

    left: Value
    right: Value


@dataclass(frozen=True, slots=True)
class In:
    """`left in (a, b)`: equal to any of them."""

    left: Value
    choices: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """`left between low and high`, both ends included."""

    left: Value
    low: Value
    high: Value


@dataclass(frozen=True, slots=True)
class Like:
    """`left like 'a%_'`: the whole text; `%` is any run, `_` any one character."""

    left: Value
    pattern: str


@dataclass(frozen=True, slots=True)
class Not:
    """`not condition`; also `x not in …`, `x is not null`."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class And:
    """All of two or more conditions."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of two or more conditions."""

    conditions: tuple[Condition, ...]


Condition = Constant | Comparison | Matches | Contains | In | Between | Like | Not | And | Or


@dataclass(frozen=True, slots=True)
class Everything:
    """`*` in a select list."""

    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of the select list, with its `as` name or None."""

    value: Value | Prefix | Everything
    alias: str | None = None


class GroupKey(NamedTuple):
    """One entry of `group by`: a name that `as` may give, or, written as a path, a key."""

    property: Property
    is_path: bool = False


class JoinKey(NamedTuple):
    """`on k`, or `on a['k'] = b['l']`: what has to be equal on both sides, the left one first."""

    left: Property
    right: Property


@dataclass(frozen=True, slots=True)
class JoinClause:
    """`join b, c 5 seconds on k, l`."""

    sources: tuple[str, ...]
    within_ms: int
    keys: tuple[JoinKey, ...]


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """`window SPAN [SHIFT]`, in milliseconds; tumbling if both are the same."""

    span_ms: int
    shift_ms: int


@dataclass(frozen=True, slots=True)
class CountWindow:
    """`window |N|`: every N events."""

    count: int


@dataclass(frozen=True, slots=True)
class AnomalyClause:
    """`anomaly METHOD PROPERTY NUMBER NUMBER …`; `method` is 'mad' or 'des'."""

    method: str
    subject: Value
    parameters: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SortKey:
    """One entry of `order by`."""

    value: Value
    descending: bool = False


@dataclass(frozen=True, slots=True)
class RandomSample:
    """Keeps threshold/factor of the events."""

    threshold: int
    factor: int
    extrapolate: bool = False


@dataclass(frozen=True, slots=True)
class StickySample:
    """Keeps or drops all events of a key alike."""

    keys: tuple[str, ...]
    salt: int
    threshold: int
    factor: int
    extrapolate: bool = False


@dataclass(frozen=True, slots=True)
class RateSample:
    """At most `threshold` matching events in each second of the clock."""

    threshold: int


SampleClause = RandomSample | StickySample | RateSample
WindowClause = TimeWindow | CountWindow


@dataclass(frozen=True, slots=True)
class Query:
    """A whole query.

    `source_names` are what `as` calls the sources, those of the join last; empty where none is
    named. `clause_spans` has the place of each clause that is written, by the name of its field.
    """

    items: tuple[Item, ...]
    sources: tuple[str, ...] = ("stream",)
    join: JoinClause | None = None
    window: WindowClause | None = None
    where: Condition | None = None
    group_by: tuple[GroupKey, ...] = ()
    anomaly: AnomalyClause | None = None
    having: Condition | None = None
    order_by: tuple[SortKey, ...] = ()
    limit: int | None = None
    sample: SampleClause | None = None
    source_names: tuple[str, ...] = ()
    text: str = field(default="", compare=False, repr=False)
    clause_spans: Mapping[str, Span] = field(default_factory=dict, compare=False, repr=False)

    @property
    def is_aggregate(self) -> bool:
        """Whether the select list holds an aggregate."""
        return any(has_aggregate(item.value) for item in self.items)


def has_aggregate(value: Value | Prefix | Everything) -> bool:
    """Whether an aggregate occurs anywhere in a value."""
    if isinstance(value, Prefix | Everything):
        return False
    return isinstance(value, Aggregate) or any(map(has_aggregate, parts_of(value)))


def parts_of(value: Value) -> tuple[Value, ...]:
    """The values that an expression is made of, left to right; an aggregate's are its own."""
    match value:
        case Arithmetic(_, left, right, _):
            return left, right
        case Call(arguments=arguments):
            return arguments
        case If(condition, then, otherwise, _):
            return *values_in(condition), then, otherwise
        case Property() | Literal() | Tick() | Provenance() | Aggregate():
            return ()
        case _:
            assert_never(value)


def values_in(condition: Condition) -> list[Value]:
    """The values that a condition compares, left to right."""
    match condition:
        case Constant():
            return []
        case Comparison(_, left, right) | Contains(left, right):
            return [left, right]
        case Matches(left, _, _) | Like(left, _):
            return [left]
        case In(left, choices):
            return [left, *choices]
        case Between(left, low, high):
            return [left, low, high]
        case Not(inner):
            return values_in(inner)
        case And(conditions) | Or(conditions):
            return [value for inner in conditions for value in values_in(inner)]
