"""Hypothesis strategies: paths, literals, expressions and conditions.

None can be read in two ways: `substring` starts at a whole number or null, digits are at least 1.
"""

# ruff: noqa: SIM905 - a table of words is easier to read than a list of quoted ones

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from mql.language.syntax import (
    And,
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
    If,
    In,
    Like,
    Literal,
    Matches,
    Not,
    Or,
    Origin,
    Property,
    Provenance,
    Step,
    Tick,
    Value,
)
from tests.oracle.drawn.events import texts, weighted

ANY = AnyElement.ANY

REGEXES = [
    "",
    *r".* \d+ -?\d+(\.\d+)? [a-z]+ a.* .*a.* (x|y|1) true|false \[.*\] \{.*\} .".split(),
    *r"(?i)API-.* ^x$ api-(prod|test) h.llo [^a]* \w+ .{2,3} a/b [12]\.0 日.* a|ab".split(),
    *r"\w+\\\w+ 1|2|12 (?:ab?)* two\nlines".split(),
]
SEARCHES = [
    *r"\d+ (\d+) user=(\w+) (a)|(b) x* ([a-z])?\d /(\w+)\)? (?i)Z ^[a-z]+ (\d+)(ms|)$ \d$".split(),
    r"([^\d ]+)\s",
    *r"^(?:GET|POST)\s(\S+) (y)?x [-.\d]+ (?P<n>\w)=(\w) $ ()".split(),
]
LIKES = ["", "%\n%", *r"% _ a% %a% api-____ h_llo _.0 %1% a_b [% \% %'% .*".split()]
COMMON_NUMBERS = "0 1 2 3 4 5 -1 2.0 0.5 -0.5".split()
ODD_NUMBERS = [
    *"100 1.0 2.50 0.125 1.5E3 -0 007 1e16 1e-3".split(),
    *"9007199254740993 9007199254740992.0 9223372036854775807 9223372036854775808".split(),
    *"0.0 -0.0 999999999999999998 1e18 -9223372036854775808".split(),
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

NUMERIC: SearchStrategy[Value] = st.sampled_from(NUMERIC_PATHS).map(Property)
SECOND = Literal(1000, "1000")
TIMES: list[Value] = [
    Provenance(Origin.TIME),
    Arithmetic(ArithmeticOperator.REMAINDER, Provenance(Origin.TIME), SECOND),
    Arithmetic(
        ArithmeticOperator.SUBTRACT,
        Provenance(Origin.TIME),
        Arithmetic(ArithmeticOperator.REMAINDER, Provenance(Origin.TIME), SECOND),
    ),
]
INSTANTS = ["0", "500", "1000", "3000"]
PROVENANCE: SearchStrategy[Value] = weighted(
    (3, st.sampled_from(TIMES)), (1, st.sampled_from(Origin).map(Provenance))
)

TO_NUMBERS = ["number", "length", "abs", "floor", "ceil", "round"]
"""Functions of a number or a text that give numbers, and no new fractions."""
TO_TEXTS = ["text", "lower", "upper", "trim"]
POSITIONS = "-2 -1 0 1 2 3 5 2.0 9223372036854775807 -9223372036854775808".split()
DIGITS = "1 2 3 20 400".split()
EXACT = [ArithmeticOperator.ADD, ArithmeticOperator.SUBTRACT, ArithmeticOperator.MULTIPLY]
"""Operators whose results for small multiples of 1/8 are exact in floats."""


def paths(*, wild: bool = False) -> SearchStrategy[Property]:
    """Paths without `[*]`; `wild` ones have keys that need care in a query's text."""
    known = st.sampled_from(FLAT_KEYS).map(lambda key: (key,)) | st.sampled_from(DEEP_PATHS)
    if wild:
        name = st.sampled_from(WILD_NAMES) | st.text(max_size=3)
        steps = st.lists(name | st.integers(-3, 3), max_size=2)
        known = known | st.tuples(name, steps).map(lambda parts: (parts[0], *parts[1]))
    return known.map(Property)


def literals() -> SearchStrategy[Literal]:
    """Numbers as written, texts, true, false, null."""
    words = [Literal(True, "true"), Literal(False, "false"), Literal(None, "null")]
    quoted = texts().map(lambda text: Literal(text, text))
    return weighted((4, numbers()), (4, quoted), (1, st.sampled_from(words)))


def numbers() -> SearchStrategy[Literal]:
    """Numbers as written."""
    texts = weighted((4, st.sampled_from(COMMON_NUMBERS)), (1, st.sampled_from(ODD_NUMBERS)))
    return texts.map(number)


def number(text: str) -> Literal:
    """A number as it is written."""
    value = float(text) if not text.lstrip("-").isdigit() else int(text)
    return Literal(value if -(2**63) <= value < 2**63 else float(value), text)


def constants(*, clock: bool) -> SearchStrategy[Value]:
    """Literals, and with `clock` also `tick()`."""
    return weighted((9, literals()), (int(clock), st.just(Tick())))


# ---- Expressions, each drawn part by part: a strategy of nested strategies is slow to make. ----

KINDS = [
    *["operation"] * 5,
    *["unary"] * 8,
    *"round substring part extract extract coalesce coalesce if if".split(),
]


@st.composite
def computed(
    draw: DrawFn,
    others: SearchStrategy[Value],
    numeric: SearchStrategy[Value] = NUMERIC,
    depth: int = 3,
) -> Value:
    """An operation on numbers, mostly, or a call of a function; at most `depth` in each other."""
    return _computed(draw, weighted((3, others), (2, numeric)), numeric, depth)


def _computed(
    draw: DrawFn, leaves: SearchStrategy[Value], numeric: SearchStrategy[Value], depth: int
) -> Value:
    def some(leaves: SearchStrategy[Value] = leaves) -> Value:
        is_leaf = depth <= 1 or draw(st.integers(0, 2)) > 0
        return draw(leaves) if is_leaf else _computed(draw, leaves, numeric, depth - 1)

    def place(functions: list[str]) -> Value:
        known = draw(st.sampled_from([*POSITIONS, None, None, None]))
        return number(known) if known else Call(draw(st.sampled_from(functions)), (some(),))

    kind = draw(st.sampled_from(KINDS))
    match kind:
        case "operation":
            operands = weighted((4, numeric), (3, numbers()), (1, leaves))
            operator = draw(st.sampled_from(ArithmeticOperator))
            return Arithmetic(operator, some(operands), some(operands))
        case "unary":
            return Call(draw(st.sampled_from(TO_NUMBERS + TO_TEXTS)), (some(),))
        case "round":
            return Call("round", (some(), number(draw(st.sampled_from(DIGITS)))))
        case "substring":
            return Call("substring", (some(), place(["floor", "length"])))
        case "part":
            length = place(["abs", "floor", "length"])
            return Call("substring", (some(), place(["floor", "length"]), length))
        case "extract":
            return Call("extract", (some(),), draw(st.sampled_from(SEARCHES)))
        case "coalesce":
            return Call("coalesce", tuple(some() for _ in range(draw(st.integers(1, 3)))))
        case "if":
            return If(draw(plain_conditions(leaves)), some(), some())
    raise AssertionError(kind)


def operation(left: SearchStrategy[Value], right: SearchStrategy[Value]) -> SearchStrategy[Value]:
    """One operation."""
    return st.builds(Arithmetic, st.sampled_from(ArithmeticOperator), left, right)


@st.composite
def exact(draw: DrawFn, others: SearchStrategy[Value]) -> Value:
    """An expression that for small multiples of 1/8 gives such: their sums need no order."""
    leaves = weighted((1, others), (1, NUMERIC))
    small = st.sampled_from(COMMON_NUMBERS).map(number)

    def some() -> Value:
        is_leaf = draw(st.integers(0, 2)) == 0
        return draw(leaves) if is_leaf else Call(draw(st.sampled_from(TO_NUMBERS)), (draw(leaves),))

    def other() -> Value:
        return draw(small) if draw(st.booleans()) else some()

    match draw(st.sampled_from(["one", "one", "operation", "if", "coalesce"])):
        case "operation":
            return Arithmetic(draw(st.sampled_from(EXACT)), some(), other())
        case "if":
            return If(draw(plain_conditions(leaves)), some(), other())
        case "coalesce":
            return Call("coalesce", (some(), other()))
        case _:
            return some()


# ---- Conditions ----


@st.composite
def plain_conditions(draw: DrawFn, lefts: SearchStrategy[Value]) -> Condition:
    """What `if` asks: no path has a `[*]`."""
    simple = _simple_conditions(lefts, weighted((3, literals()), (1, lefts)))
    return _compound(draw, simple, draw(st.sampled_from([0, 0, 0, 1])))


@st.composite
def conditions(
    draw: DrawFn,
    properties: SearchStrategy[Value],
    *,
    clock: bool = False,
    timed: bool = False,
    of_row: bool = False,
    depth: int = 2,
) -> Condition:
    """A condition on properties of an event, some with `[*]`, with `timed` also on `time()`.

    With `of_row` the properties are columns, and nothing else of an event is read.
    """
    fixed = constants(clock=clock)
    numeric = properties if of_row else NUMERIC
    made = computed(weighted((1, properties), (1, fixed)), numeric)
    lefts = weighted((12, properties), (3, made), (1, fixed))
    if not of_row:
        many: SearchStrategy[Value] = st.sampled_from(ANY_PATHS).map(Property)
        lefts = weighted((8, lefts), (1, many), (1, operation(many, numbers())))
    rights = weighted((8, fixed), (1, properties), (1, made))
    comparators = st.sampled_from(Comparator)
    swapped: SearchStrategy[Condition] = st.builds(Comparison, comparators, fixed, lefts)
    times, instants = st.sampled_from(TIMES), st.sampled_from(INSTANTS).map(number)
    at: SearchStrategy[Condition] = st.builds(Comparison, comparators, times, instants)
    constant: SearchStrategy[Condition] = st.booleans().map(Constant)
    simple = _simple_conditions(lefts, rights)
    whole = weighted((12, simple), (2, swapped), (1, constant), (int(timed), at))
    return _compound(draw, whole, depth)


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


def _compound(draw: DrawFn, simple: SearchStrategy[Condition], depth: int) -> Condition:
    """One of them, or several in each other, at most `depth` deep."""
    kind = draw(st.sampled_from(["one"] * 4 + ["not", "and", "or"])) if depth else "one"
    if kind == "one":
        return draw(simple) if depth < 1 else _compound(draw, simple, depth - 1)
    count = 1 if kind == "not" else draw(st.integers(2, 3))
    inner = tuple(_compound(draw, simple, depth - 1) for _ in range(count))
    return Not(inner[0]) if kind == "not" else And(inner) if kind == "and" else Or(inner)
