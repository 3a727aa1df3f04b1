"""The stored tables of the parser are those of the grammar, and are used for no other grammar."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from lark import Lark

import mql
from mql.language.grammar import load, make, store

FOLDER = Path(mql.__file__).parent
SOURCE = (FOLDER / "grammar.lark").read_text(encoding="utf-8")
TABLES = (FOLDER / "grammar.json").read_text(encoding="utf-8")


def same_states(one: Any, other: Any) -> bool:
    """Whether two parse tables are the same but for the numbers of their states."""
    numbers = {one.start_states["start"]: other.start_states["start"]}
    waiting = list(numbers)
    while waiting:
        state = waiting.pop()
        actions, others = one.states[state], other.states[numbers[state]]
        if actions.keys() != others.keys():
            return False
        for token, (action, target) in actions.items():
            if str(action) == "Shift" and target not in numbers:
                numbers[target] = others[token][1]
                waiting.append(target)
            expected = numbers[target] if str(action) == "Shift" else target
            if others[token] != (action, expected):
                return False
    return len(numbers) == len(one.states) == len(other.states)


def terminals(parser: Lark) -> list[tuple[str, int, str]]:
    return [(t.name, t.priority, t.pattern.to_regexp()) for t in parser.terminals]


def same(one: Lark, other: Lark) -> bool:
    return (
        one.options.options == other.options.options
        and one.rules == other.rules
        and terminals(one) == terminals(other)
        and one.lexer_conf.ignore == other.lexer_conf.ignore
        and same_states(one.parser.parser._parse_table, other.parser.parser._parse_table)
    )


def test_the_stored_tables_are_those_of_the_grammar() -> None:
    stored = load(SOURCE, TABLES)
    assert stored is not None, "grammar.lark or Lark is another one; run `make grammar`"
    assert same(stored, make(SOURCE)), "run `make grammar`"


@pytest.mark.parametrize(
    "edited",
    [
        SOURCE.replace("sum _BETWEEN", "sum _IN", 1) + "\n",
        SOURCE.replace("PLUS | MINUS", "PLUS", 1),
        SOURCE.replace('"limit"i', '"limits"i', 1),
    ],
)
def test_an_edited_grammar_has_other_tables_and_does_not_get_the_stored_ones(edited: str) -> None:
    assert load(edited, TABLES) is None


def test_what_is_stored_is_loaded_again() -> None:
    edited = SOURCE.replace('"limit"i', '"at_most"i')
    loaded = load(edited, store(edited))
    assert loaded is not None
    assert same(loaded, make(edited))
    assert not same(loaded, make(SOURCE))


def test_the_grammar_is_read_from_an_archive_too(tmp_path: Path) -> None:
    """As an application is that `zipapp` has made."""
    archive = tmp_path / "app.zip"
    with ZipFile(archive, "w") as made:
        for file in sorted(FOLDER.rglob("*")):
            if file.suffix in {".py", ".lark", ".json"}:
                made.write(file, file.relative_to(FOLDER.parent))
    program = "from mql.language import grammar; grammar.grammar(); print(grammar.__file__)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=os.environ | {"PYTHONPATH": str(archive)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.stdout.startswith(str(archive))) == ("", True)
