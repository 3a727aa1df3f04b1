r"""The texts that whatever matches an RE2 pattern must hold.

Read conservatively: what this file does not know for sure to be a plain character ends a run of
them, and a construct that it does not know at all makes the whole pattern say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

T = TypeVar("T")
AnyOf = tuple[T, ...]
"""At least one of them."""

_MAX_DEPTH = 50
_GROUP = re.compile(r"\((?!\?)|\(\?(?:P?<\w+>|[smU-]*:)")
_FLAGS = re.compile(r"\(\?[smU-]+\)")
_CLASS = re.compile(r"\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*+\]", re.DOTALL)
_SOME_CHARACTER = re.compile(
    r"[.^$]|\\(?:[dDsSwWbBAzCtnrfva]|[pP](?:\{[^}]*\}|\w)|x(?:\{[0-9a-fA-F]+\}|[0-9a-fA-F]{2}))"
)
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_PLAIN = re.compile(r"[^\\\[\](){}*+?|.^$]")
_REPEATED = re.compile(r"(?:(?P<optional>[?*]|\{0+(?:,\d*)?\})|\+|\{\d+(?:,\d*)?\})\??")


class _UnknownError(Exception):
    """A construct that this file does not know."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a pattern: the one text that it matches, or else what its matches must hold."""

    exact: str | None = None
    within: tuple[AnyOf[str], ...] = ()

    @property
    def needs(self) -> tuple[AnyOf[str], ...]:
        """What a match must hold, all of it."""
        return ((self.exact,),) if self.exact else self.within


_ANYTHING = _Part()


def texts_in(pattern: str) -> tuple[AnyOf[str], ...]:
    r"""The texts that a match must hold: of each tuple, one at least, one behind the other.

    >>> texts_in(".*ERROR.*(timeout|refused)s?")
    (('ERROR',), ('timeout', 'refused'))
    >>> texts_in(r"v\d+\.json"), texts_in("(?i)error"), texts_in("a|")
    ((('v',), ('.json',)), (), ())
    """
    try:
        return _Pattern(pattern).read().needs
    except _UnknownError:
        return ()


def either(
    branches: Sequence[Sequence[AnyOf[T]]], length: Callable[[T], int]
) -> tuple[AnyOf[T], ...]:
    """What holds if one of the branches does: of each, its best need is kept.

    >>> either([[("a",), ("timeout",)], [("refused",)]], len)
    (('timeout', 'refused'),)
    """
    if not all(branches):
        return ()
    best = [max(needs, key=lambda any_of: min(map(length, any_of))) for needs in branches]
    return (tuple(dict.fromkeys(chain.from_iterable(best))),)


class _Pattern:
    """Recursive descent over a pattern that RE2 takes."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def read(self) -> _Part:
        """The whole pattern."""
        part = self._alternation()
        if self._at < len(self._text):
            raise _UnknownError
        return part

    def _alternation(self) -> _Part:
        branches = [self._concatenation()]
        while self._take("|"):
            branches.append(self._concatenation())
        if len(branches) == 1:
            return branches[0]
        return _Part(None, either([branch.needs for branch in branches], len))

    def _concatenation(self) -> _Part:
        parts: list[_Part] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            part = self._repetition()
            last = parts[-1].exact if parts else None
            if last is not None and part.exact is not None:
                parts[-1] = _Part(last + part.exact)
            else:
                parts.append(part)
        if len(parts) == 1:
            return parts[0]
        return _Part(None, tuple(need for part in parts for need in part.needs))

    def _repetition(self) -> _Part:
        part = self._atom()
        repeated = self._match(_REPEATED)
        if repeated is None:
            return part
        return _ANYTHING if repeated["optional"] else _Part(None, part.needs)

    def _atom(self) -> _Part:
        if self._match(_GROUP):
            return self._group()
        if self._match(_FLAGS) or self._match(_CLASS) or self._match(_SOME_CHARACTER):
            return _ANYTHING
        if escaped := self._match(_ESCAPED):
            return _Part(escaped[1])
        if plain := self._match(_PLAIN):
            return _Part(plain[0])
        raise _UnknownError

    def _group(self) -> _Part:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _UnknownError
        part = self._alternation()
        if not self._take(")"):
            raise _UnknownError
        self._depth -= 1
        return part

    def _take(self, text: str) -> bool:
        found = self._text.startswith(text, self._at)
        self._at += len(text) * found
        return found

    def _match(self, kind: re.Pattern[str]) -> re.Match[str] | None:
        found = kind.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return found
