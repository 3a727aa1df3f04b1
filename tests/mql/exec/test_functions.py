"""The functions of the language and the states that compute them are one list, and agree."""

from __future__ import annotations

import pytest

import mql
from mql.exec.aggregates.make import STATES
from mql.exec.aggregates.protocol import Additive, Weighable
from mql.language.functions import FUNCTIONS, Merge

VALUES = [2, 2, "b", None, 7.5, "b", 2, "a", True, True]


def test_each_function_has_states_and_no_others_do() -> None:
    written = {name for name, function in FUNCTIONS.items() if function.takes_percent}
    assert set(STATES) == set(FUNCTIONS) - written


@pytest.mark.parametrize("name", STATES)
def test_states_can_do_what_their_function_says(name: str) -> None:
    function, states = FUNCTIONS[name], STATES[name]()

    if function.merge is Merge.ADD:
        assert isinstance(states, Additive)
    if function.scales:
        assert isinstance(states, Weighable)


@pytest.mark.parametrize("name", [f.name for f in FUNCTIONS.values() if f.ignores_distinct])
def test_distinct_changes_nothing_where_the_table_says_so(name: str) -> None:
    events = [{"a": value} for value in VALUES]

    for cut in range(len(events)):
        plain, distinct = (
            mql.run(f"select {name}({argument}) as x", {"stream": events[cut:]}).rows()
            for argument in ("a", "distinct a")
        )
        assert plain == distinct


def test_only_a_function_that_counts_events_takes_all_of_them() -> None:
    for name, function in FUNCTIONS.items():
        if function.counts_events:
            assert mql.run(f"select {name}(*) as n", {"stream": [{}, {}]}).rows() == [{"n": 2}]
        else:
            with pytest.raises(mql.QueryError, match="only count takes"):
                mql.parse(f"select {name}(*)")
