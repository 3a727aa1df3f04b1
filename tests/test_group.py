"""Numbering distinct tuples: any codes, of any sizes, dense or far apart."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mql.exec.group import combine, tuples

SIZES = st.sampled_from([1, 2, 3, 1 << 10, 1 << 21, 1 << 40])


@given(st.data(), st.lists(SIZES, min_size=1, max_size=5), st.integers(1, 30))
def test_rows_have_one_number_exactly_if_they_have_the_same_codes(
    data: st.DataObject, sizes: list[int], rows: int
) -> None:
    each = [st.lists(st.integers(0, size - 1), min_size=rows, max_size=rows) for size in sizes]
    codes = [np.array(data.draw(some), np.int64) for some in each]
    wanted = list(zip(*(code.tolist() for code in codes), strict=True))

    numbers, first = combine(codes, sizes)
    seen = list(dict.fromkeys(wanted))
    assert [seen[number] for number in numbers.tolist()] == wanted
    assert [wanted[row] for row in first.tolist()] == seen

    local, used, found = tuples(codes, sizes)
    by_number = dict(
        zip(used.tolist(), zip(*(some.tolist() for some in found), strict=True), strict=True)
    )
    assert [by_number[number] for number in local.tolist()] == wanted
    assert len(by_number) == len(seen)
