"""Recorded texts: a sentence, and sections of lines in a fixed order, one file a topic.

A section is a line `name:` and what belongs to it, indented. What is public and not in its file is
a difference of the two texts, which the test shows.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
PACKAGES = ("mql", "publish_agent", "source_jobs", "cli")
"""What is installed."""

_WORDS = ("environ", "mql_", "getlogger", "log.", "log_apart", "logger", "audit", "access.")
"""Files without any of these, in small letters, neither log nor know a variable."""

Sections = Mapping[str, Iterable[str]]


def file_of(topic: str) -> Path:
    return HERE / f"{topic}.txt"


def text_of(about: str, sections: Sections) -> str:
    """The text of a file: what it is about, and its sections in the order of their names."""
    parts = [f"{about}\n"]
    for name in sorted(sections):
        lines = "".join(f"  {line}\n" for line in sections[name])
        parts.append(f"{name}:\n{lines}")
    return "\n".join(parts)


def keys_of(value: object, closed: frozenset[str] = frozenset(), place: str = "") -> set[str]:
    """All keys of a JSON value by their places; what is under a key of `closed` is left out."""
    found: set[str] = set()
    match value:
        case dict():
            for key, inner in value.items():
                here = f"{place}.{key}" if place else str(key)
                found |= {here} if key in closed else {here, *keys_of(inner, closed, here)}
        case list():
            for inner in value:
                found |= keys_of(inner, closed, f"{place}[]")
    return found


@cache
def code() -> tuple[tuple[str, tuple[ast.AST, ...]], ...]:
    """The calls, look-ups and texts of files that log or know variables, with their packages."""
    kinds = (ast.Call, ast.Subscript, ast.Constant)
    found: list[tuple[str, tuple[ast.AST, ...]]] = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if any(word in text.lower() for word in _WORDS):
                tree = ast.walk(ast.parse(text))
                found.append((package, tuple(node for node in tree if isinstance(node, kinds))))
    return tuple(found)
