"""Plans of queries that differ only in texts that they compare with: one plan for all of them.

Ten thousand users have ten thousand queries of one shape. It is planned with a stand-in for each
text behind `==` or `!=`, equal ones for equal texts; then the texts take their places. No rule of
the planner looks at such a text but to ask whether it equals another one. A query that has other
texts, or could be read otherwise than by its quotes, is planned by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import lru_cache
from typing import Any

from mql.language.syntax import Literal
from mql.planner.plan import plan
from mql.planner.split import AgentPlan

_TEXT = re.compile(r"""'[^']*'|"[^"]*\"""")
_KEPT = ("[", "[^")
"""Before the key of a path, which is part of the shape."""
_ODD = ("\\", "{", "==~", "--", "\ue000")
"""Where one of these occurs, not each quote begins or ends a text, or a text may look so."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """The plan of a shape; `holders` are its parts that hold a stand-in, by identity."""

    plan: AgentPlan
    holders: frozenset[int]


def plan_by_shape(text: str) -> AgentPlan | None:
    """The agent's half of a query by the plan of its shape, or None. Raises QueryError."""
    found = _shape_of(text)
    if found is None:
        return None
    shape = _planned(found[0])
    if shape is None:
        return None
    made = _filled(shape.plan, shape.holders, found[1])
    assert isinstance(made, AgentPlan)
    return made


def _shape_of(text: str) -> tuple[str, dict[str, str]] | None:
    """A query with stand-ins, and for which texts they stand; None if it has no such shape."""
    if any(odd in text for odd in _ODD):
        return None
    names: dict[str, str] = {}
    parts: list[str] = []
    end = 0
    for match in _TEXT.finditer(text):
        before = text[end : match.start()]
        end = match.end()
        leads = before.rstrip()
        if leads.endswith(_KEPT):
            parts += (before, match[0])
            continue
        if not leads.endswith("=") or leads.endswith(("<=", ">=")):
            return None
        name = names.setdefault(match[0][1:-1], f"\ue000{len(names)}\ue000")
        parts += (before, f"'{name}'")
    if not names:
        return None
    return "".join([*parts, text[end:]]), {name: value for value, name in names.items()}


@lru_cache(maxsize=256)
def _planned(shape: str) -> _Shape | None:
    """The plan of a shape, unless a stand-in is in anything but a literal."""
    made = plan(shape, live=True).agent
    holders: set[int] = set()
    return _Shape(made, frozenset(holders)) if _collect(made, holders) is not None else None


def _collect(part: object, holders: set[int]) -> bool | None:
    """Whether a part holds a stand-in; None if one is where no text of a query should be."""
    if isinstance(part, str):
        return None if "\ue000" in part else False
    if isinstance(part, Literal):
        found: bool | None = isinstance(part.value, str) and "\ue000" in part.value
    elif is_dataclass(part):
        found = _any_of([getattr(part, each.name) for each in fields(part)], holders)
    elif isinstance(part, tuple):
        found = _any_of(list(part), holders)
    elif isinstance(part, list | set | frozenset | Mapping):
        both = [*part, *part.values()] if isinstance(part, Mapping) else list(part)
        return None if _any_of(both, holders) is not False else False
    else:
        return False
    if found:
        holders.add(id(part))
    return found


def _any_of(parts: list[object], holders: set[int]) -> bool | None:
    found = [_collect(part, holders) for part in parts]
    return None if None in found else any(found)


def _filled(part: Any, holders: frozenset[int], texts: Mapping[str, str]) -> Any:
    """A part with the texts in place of their stand-ins."""
    if id(part) not in holders:
        return part
    if isinstance(part, Literal):
        value = texts[str(part.value)]
        return Literal(value, value, part.span)
    if isinstance(part, tuple):
        return tuple(_filled(each, holders, texts) for each in part)
    inside = {each.name: getattr(part, each.name) for each in fields(part)}
    held = {name: each for name, each in inside.items() if id(each) in holders}
    return replace(part, **{name: _filled(each, holders, texts) for name, each in held.items()})
