"""Texts that have to be in a property, as of regular expressions: many are searched at once."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence

from mql.language.syntax import Condition, Property
from mql.planner.regex_literals import AnyOf
from publish_agent.capture.event_buffer import Place
from publish_agent.capture.native.binding import Kind, Look
from publish_agent.screen import condition_code as rules
from publish_agent.screen.code_template import expression as template
from publish_agent.screen.code_template import statements
from publish_agent.screen.groups.residual import add_where_held, any_holds, name_places
from publish_agent.screen.path_code import Reader

_SEARCHED = 4
"""So many texts to be searched in one property are searched at once."""


class Substrings:
    """Those that want a property to hold some texts: many are searched at once."""

    def __init__(self, path: Property) -> None:
        self._path = path
        self._conditions: dict[Condition, list[Place]] = {}
        self._texts: dict[Condition, Sequence[AnyOf[str]]] = {}
        self._search: Callable[[str], object] | None = None

    def add(self, condition: Condition, texts: Sequence[AnyOf[str]], place: Place) -> None:
        """Take one in, whose condition needs one of each of some texts."""
        self._conditions.setdefault(condition, []).append(place)
        self._texts[condition] = texts

    def names(self, i: int) -> dict[str, object]:
        """The search, if there is one, and those of each condition."""
        rarest = (
            max(texts, key=lambda some: min(map(len, some))) for texts in self._texts.values()
        )
        searched = {text for some in rarest for text in some}
        if len(searched) >= _SEARCHED:
            self._search = re.compile("|".join(map(re.escape, sorted(searched)))).search
        return {f"search{i}": self._search} | name_places(i, self._conditions)

    def gate(self, reader: Reader, i: int) -> tuple[list[ast.stmt], ast.expr]:
        """Whether a text is found, or else whether a condition may hold."""
        if self._search is not None:
            found = "search({v}) is not None if type({v}) is str else {v} is not None"
            gate = template(found.format(v=reader.read(self._path)))
            return statements(f"search = search{i}"), gate
        return [], any_holds(self._conditions, reader)

    def sort(self, reader: Reader, i: int) -> list[ast.stmt]:
        """Add those whose condition may hold."""
        return add_where_held(self._conditions, reader, i)

    def looks(self, reader: Reader) -> list[Look] | None:
        """One look with a search, or one for the texts of each condition."""
        way = reader.way(self._path.steps)
        if way is None:
            return None
        if self._search is not None:
            return [Look(Kind.SEARCH, way, self._search)]
        return [Look(Kind.TEXTS, way, _as_bytes(texts)) for texts in self._texts.values()]


def _as_bytes(texts: Sequence[AnyOf[str]]) -> tuple[AnyOf[bytes], ...]:
    return tuple(tuple(text.encode() for text in some) for some in texts)


def needed_texts(condition: Condition) -> tuple[Property | None, Sequence[AnyOf[str]]]:
    """The property that has to hold one text of each of some groups, if a condition says so."""
    path, needs = rules.texts_needed(condition) or (None, ())
    safe = [some for some in needs if all(map(rules.is_safe, some))]
    return (path, safe) if safe and path is not None and not path.has_any else (None, ())
