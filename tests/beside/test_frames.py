"""A DataFrame is an input, and an answer becomes one, where a user has pandas."""

from __future__ import annotations

import pytest

import mql


def test_a_data_frame_is_an_input_and_an_answer_becomes_one() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"k": ["a", "b", "a"], "n": [1, 2, 3], "at": pandas.to_datetime([1, 2, 3], unit="ns")}
    )
    result = mql.run("select sum(n) as total, k from s group by k", {"s": frame})
    assert result.to_table().to_pandas().to_dict("list") == {"total": [4, 2], "k": ["a", "b"]}
    assert mql.run("select at from s", {"s": frame}).rows()[0] == {
        "at": "1970-01-01T00:00:00.000000001Z"
    }
