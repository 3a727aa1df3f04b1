"""Numbering distinct tuples: any codes, of any sizes, dense or far apart."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from mql.exec.aggregates.group_keys import combine, tuples

SIZES = st.lists(st.sampled_from([1, 2, 3, 1 << 10, 1 << 21, 1 << 40]), min_size=1, max_size=5)


@st.composite
def _sizes_and_tuples(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, ...]]]:
    sizes = draw(SIZES)
    row = st.tuples(*(st.integers(0, size - 1) for size in sizes))
    return sizes, draw(st.lists(row, min_size=1, max_size=30))


@given(_sizes_and_tuples())
@example(([1 << 10, 1 << 10, 1 << 21, 1 << 21, 2], [(0, 0, 0, 0, 0)]))
@example(([1 << 40, 1 << 40, 1 << 40], [(5, 6, 7), (5, 6, 8), (5, 6, 7)]))
def test_rows_have_one_number_exactly_if_they_have_the_same_codes(
    drawn: tuple[list[int], list[tuple[int, ...]]],
) -> None:
    sizes, wanted = drawn
    codes = list(np.array(wanted, np.int64).T)

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
