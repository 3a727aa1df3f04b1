"""What reading fast rests on: lines found word by word, columns made of values of a known kind."""

from __future__ import annotations

import json

import pytest

from mql.columnar.build import column_of, column_of_kind
from mql.columnar.read import to_python
from mql.events.decode import EventReader
from mql.events.lines import Lines
from mql.language.format import format_property
from mql.language.syntax import Property
from mql.planner.fields import Fields


@pytest.mark.parametrize("first", range(9))
@pytest.mark.parametrize("second", range(9))
def test_lines_are_found_wherever_in_a_word_they_end(first: int, second: int) -> None:
    lines = [f'{{"{"x" * size}":1}}\n' for size in (first, second, 40, first + second)]
    found = Lines("".join(lines).encode())
    assert found.texts().to_pylist() == lines
    assert found.are_objects


@pytest.mark.parametrize(
    "text", ["\n", "{}\n\n{}\n", "{}\n{} \n", "{}\n {}\n", " {}\n", "{}\n[]\n"]
)
def test_lines_that_may_be_no_objects_are_told(text: str) -> None:
    found = Lines(text.encode())
    assert found.texts().to_pylist() == text.splitlines(keepends=True)
    assert not found.are_objects


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (int, [1, 2]),
        (int, [1, None]),
        (int, [1, 2**70]),
        (int, [None, None]),
        (float, [1.5, 2.0, -0.0]),
        (float, [1.5, None]),
        (float, [1.5, 2]),
        (float, [1.5, 10**400]),
        (float, [None, None]),
        (str, ["a", None]),
        (str, ["a", "\ud800"]),
        (str, [None, None]),
        (bool, [True, None, False]),
        (bool, [None, None]),
    ],
)
def test_a_known_kind_changes_nothing_of_the_column(kind: type, values: list[object]) -> None:
    assert column_of_kind(values, kind) == column_of(values)


ODD_KEYS = ['a"b', "a\\b", "a\x01b", "\x00", "\n", "é\u2028", "", " "]


@pytest.mark.parametrize("key", ODD_KEYS, ids=repr)
@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("nested", [True, False])
def test_any_key_can_be_asked_for(key: str, native: bool, nested: bool) -> None:  # noqa: FBT001
    steps = ("o", key) if nested else (key,)
    reader = EventReader(Fields((Property(steps),)), native=native)
    for value in (1, "x", {"y": 2}):
        event = {"o": {key: value}} if nested else {key: value}
        lines = (json.dumps(event) + "\n").encode() * 3 + b'{"other": 1}\n'
        batch = reader.from_lines(lines).batch
        column = batch.column(format_property(Property(steps)))
        assert to_python(column) == [value] * 3 + [None]
