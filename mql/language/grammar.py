"""The parser's tables: read from `grammar.json` if they belong to `grammar.lark`, else made of it.

Making them takes longer than most queries, reading them does not. The file is what Lark makes of
itself to be stored, as JSON: data, nothing that could run. It says which grammar and which Lark it
was made of. With any other they are made anew, so that an edit of `grammar.lark` works at once;
`make grammar` writes the file.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from pkgutil import get_data

from lark import Lark, __version__
from lark.grammar import Rule
from lark.lexer import TerminalDef

_FOLDER = Path(__file__).parents[1]
_GRAMMAR = _FOLDER / "grammar.lark"
_TABLES = _FOLDER / "grammar.json"


@cache
def grammar() -> Lark:
    """The parser of MQL; it gives Lark's tree."""
    source = _read(_GRAMMAR)
    return load(source, _read(_TABLES)) or make(source)


def _read(file: Path) -> str:
    """A file of the package, which may be in an archive (zipapp)."""
    data = get_data("mql", file.name)
    assert data is not None
    return data.decode()


def make(source: str) -> Lark:
    """The parser of a grammar."""
    return Lark(source, parser="lalr", lexer="contextual", propagate_positions=True)


def store(source: str) -> str:
    """The parser of a grammar as text. Lark numbers its states differently each time."""
    data, memo = make(source).memo_serialize([TerminalDef, Rule])
    stored = {"made_of": _made_of(source), "tables": {"data": data, "memo": memo}}
    return json.dumps(stored, separators=(",", ":")) + "\n"


def load(source: str, text: str) -> Lark | None:
    """The parser that `store` made this text of; None if that was of another grammar or Lark."""
    stored = json.loads(text, object_pairs_hook=_numbered)
    return Lark.load(stored["tables"]) if stored["made_of"] == _made_of(source) else None


def _made_of(source: str) -> dict[str, str]:
    return {"lark": __version__, "grammar_sha256": hashlib.sha256(source.encode()).hexdigest()}


def _numbered(pairs: list[tuple[str, object]]) -> dict[str | int, object]:
    """A JSON object whose keys are numbers again where JSON made text of them."""
    return {int(key) if key.isdecimal() else key: value for key, value in pairs}


if __name__ == "__main__":
    _TABLES.write_text(store(_read(_GRAMMAR)), encoding="utf-8")
