"""Did you mean: the nearest name, and what it costs where names were made up to cost much."""

from __future__ import annotations

import time

import pytest

from mql.language.nearest import nearest_name

LONG = "a stream whose name is long and whose owner meant no harm to anybody, and so on".ljust(100)

PLANTED = {
    "others": [f"{number:0200}" for number in range(20_000)],
    "of two letters": [f"{number:0200b}".translate({48: 97, 49: 98}) for number in range(20_000)],
    "alike": [f"{LONG[:90]}{number:0110}" for number in range(20_000)],
    "one letter": ["a" * (100 + number % 100) for number in range(20_000)],
    "in turn": [("ab" * 100)[number % 2 : 100 + number % 90] for number in range(20_000)],
}


@pytest.mark.parametrize(
    ("word", "names", "meant"),
    [
        ("reqests", ["orders", "requests", "payments"], "requests"),
        ("requests", ["orders"], None),
        ("", ["orders"], None),
        ("orders", [], None),
        ("ordres", ["orders", "address", "o"], "orders"),
        ("x" * 150 + "y", ["x" * 150 + "z", "y"], "x" * 150 + "z"),
    ],
)
def test_the_nearest_name_is_found(word: str, names: list[str], meant: str | None) -> None:
    assert nearest_name(word, names) == meant


def test_of_a_great_many_names_the_one_that_begins_alike_is_found() -> None:
    names = [f"stream {number:04}" for number in range(20_000)]
    assert nearest_name("payment requsts", [*names, "payment requests"]) == "payment requests"


@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("word", [LONG, "ab" * 60, "a" * 99 + "b", "b" * 200, "requests"])
def test_planted_names_cost_little(planted: str, word: str) -> None:
    names = PLANTED[planted]

    def cost_ms() -> float:
        began = time.process_time()
        nearest_name(word, names)
        return (time.process_time() - began) * 1000

    assert any(cost_ms() < 50 for _ in range(10))  # other processes share the caches
