"""Hypothesis strategies: events whose keys may be missing, and change their kind."""

# ruff: noqa: SIM905 - a table of words is easier to read than a list of quoted ones

from __future__ import annotations

import json
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mql.language.syntax import Query
from tests.oracle.cases import Event, Json, Row

T = TypeVar("T")

LAST_MS = 6_000
"""Events happen from 0 up to here."""

COMMON_TEXTS = ["", "a", "x", "y", "ab", "1", "2.0", "true", "api-prod", "héllo"]
ODD_TEXTS = [
    *'api-test node-1 a%b a_b a.c null 日本 😀 o\'k "b" a/b back\\slash [1,2]'.split(),
    *("two\nlines", "  ", "\x00"),
]
UNICODE_TEXTS = [
    *"ß İstanbul ǅ ŉx ﬁ Ünï e\u0301 \u212aB Ω ıI 👩\u200d💻 𝔘".split(),  # noqa: RUF001
    *("\xa0x\u3000", "\x1cx\x1f", "\u200bx", "\u2028\x85 x", "\ufeff", "\u1680 \u180e"),
]
"""What changes its length with its case, is several characters to the eye, or nearly a blank."""
NUMBER_TEXTS = [
    *"-5 2.50 1e3 1E+1 25E-2 -0.5 1e-400 1e400 -1e400".split(),
    *"007 0x10 +1 .5 5. 1_0 NaN Infinity - ٣".split(),
    *(" 12 ", "\t5\r\n", "\xa07", "1 2", "--1", "1\n2"),
]
"""JSON's numbers, multiples of 1/8, and what others take for a number."""
HUGE_NUMBER_TEXTS = [
    *"9007199254740993 9223372036854775807 9223372036854775808 -9223372036854775809".split(),
    *("1" * 30, "-" + "9" * 400, "0.1", "1.005", "123456789.987654321", "9" * 5000),
]
LOG_TEXTS = ["GET /a/7", "user=joe id=17", "v1.2", "took 250ms", "a\nb", " Zed"]
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


def weighted(*parts: tuple[int, SearchStrategy[T]]) -> SearchStrategy[T]:
    """One of several strategies, each with its weight; `one_of` leaves out repeated ones."""
    strategies = [strategy for _, strategy in parts]
    places = [place for place, (weight, _) in enumerate(parts) for _ in range(weight)]
    return st.sampled_from(places).flatmap(strategies.__getitem__)


def texts(*, extremes: bool = False) -> SearchStrategy[str]:
    """Mostly from a small set, so that values meet their equals."""
    numbers = NUMBER_TEXTS + HUGE_NUMBER_TEXTS * extremes
    return weighted(
        (8, st.sampled_from(COMMON_TEXTS)),
        (2, st.sampled_from(ODD_TEXTS)),
        (2, st.sampled_from(numbers)),
        (1, st.sampled_from(UNICODE_TEXTS + LOG_TEXTS)),
        (1, st.text(max_size=4)),
    )


def scalars(*, extremes: bool = True) -> SearchStrategy[Json]:
    """Small numbers (their sums are exact in floats), texts, booleans, nulls."""
    small: SearchStrategy[Json] = st.integers(-3, 6)
    eighths: SearchStrategy[Json] = st.integers(-32, 48).map(lambda n: n / 8)
    rare: SearchStrategy[Json] = st.sampled_from(EXTREMES) | st.integers(-(2**63), 2**63 - 1)
    odd = rare if extremes else eighths
    words: SearchStrategy[Json] = texts(extremes=extremes)
    return weighted(
        (6, small), (3, eighths), (5, words), (2, st.booleans()), (2, st.none()), (1, odd)
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
