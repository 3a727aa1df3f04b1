"""Numbers at the edges of what 64 bits and doubles tell apart."""

from __future__ import annotations

from pathlib import Path

import pytest

import mql

NEAR = [
    999999999999999998,
    1e18,
    1000000000000000001,
    float(2**63),
    2**63 - 1,
    -(2**63),
    -(2.0**63),
]
"""Integers beside doubles, some of which one double stands for."""


def rows(query: str, *values: object) -> list[dict[str, object]]:
    events = [{"n": number, "v": value} for number, value in enumerate(values)]
    return mql.run(query, {"stream": events}).rows()


@pytest.mark.parametrize("zero", [0.0, -0.0, 0])
@pytest.mark.parametrize(
    "where",
    ["v in (0.0, 2.8)", "v in (-0.0, 2.8)", "v in (0, 2.8)", "v == 0.0 or v == 2.8", "v in (0.0)"],
)
def test_zero_has_no_sign(zero: float, where: str) -> None:
    found = rows(f"select n where {where}", zero, 2.8, 1.5, None, zero)
    assert [row["n"] for row in found if row["n"] != 1] == [0, 4]
    assert rows(f"select n where not ({where})", zero, 1.5, zero) == [{"n": 1}]


def test_integers_and_doubles_are_in_one_exact_and_stable_order() -> None:
    found = rows("select v order by v", *NEAR)
    assert [row["v"] for row in found] == sorted(NEAR)
    assert [type(row["v"]) for row in found] == [type(v) for v in sorted(NEAR)]
    down = rows("select v order by v desc", *NEAR)
    assert [row["v"] for row in down] == sorted(NEAR, reverse=True)


@pytest.mark.parametrize(("q", "place"), [("p1", 1), ("p50", 4), ("p99", 6)])
def test_the_extremes_and_percentiles_of_integers_beside_doubles_are_exact(
    q: str, place: int
) -> None:
    (row,) = rows(f"select min(v) as least, max(v) as most, {q}(v) as q", *NEAR)
    ordered = sorted(NEAR)
    assert row == {"least": ordered[0], "most": ordered[-1], "q": ordered[place]}
    (pair,) = rows("select max(v) as most, min(v) as least", 10**18 - 2, 1e18)
    assert pair == {"most": 1e18, "least": 10**18 - 2}


def test_a_product_beyond_64_bits_is_a_double() -> None:
    event = {"a": -1, "b": -(2**63)}
    assert mql.run("select a * b as r, b * a as s", {"stream": [event]}).rows() == [
        {"r": 2.0**63, "s": 2.0**63}
    ]


@pytest.mark.parametrize("number", [63, 64, 65, 200])
def test_groups_may_have_any_number_of_keys(number: int) -> None:
    keys = ", ".join(f"c{i}" for i in range(number))
    events = [{"c0": n % 2, f"c{number - 1}": n % 3} for n in range(12)]
    found = mql.run(f"select count(*) as n group by {keys}", {"stream": events}).rows()
    assert [row["n"] for row in found] == [2] * 6


@pytest.mark.parametrize("others", ["", '{"n":NaN}', '{"n":"1e309"}', "no json", '{"n":[1e5000]}'])
@pytest.mark.parametrize("number", ["1e309", "-1e309", "1E+400", "9" * 309, f"-{'9' * 400}.5"])
def test_in_whole_events_what_no_double_holds_is_null_whatever_its_neighbours(
    tmp_path: Path, number: str, others: str
) -> None:
    path = tmp_path / "events.ndjson"
    text = '{"n":3,"v":NUMBER,"w":"NUMBER","x":[NUMBER,1e308]}'.replace("NUMBER", number)
    path.write_text(f"{text}\n{others}\n")
    first, *_ = mql.run("select *", {"stream": str(path)}).rows()
    assert first == {"n": 3, "v": None, "w": number, "x": [None, 1e308]}
    one, *_ = mql.run("select v, n", {"stream": str(path)}).rows()
    assert one == {"n": 3}
