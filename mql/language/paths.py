"""Paths into an event, and how a query writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

from mql.errors import Span
from mql.language.quoting import quote

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:@]*")

NOWHERE = Span(0, 0)

RESERVED = frozenset(
    """
    select from where window group order by limit sample having anomaly join on as and or not in
    between like is null true false distinct
    """.split()  # noqa: SIM905 - a list of words reads best as words
)
"""A bare word that is one of these (in any case) is never a name."""


class AnyElement(Enum):
    """The step `[*]`: any element of a list, any value of an object."""

    ANY = "*"


Step = str | int | AnyElement


@dataclass(frozen=True, slots=True)
class Property:
    """A path into the event: `status`, `e['a'][0]['b']`, `e['l'][*]['k']`.

    `source` is the name of the source whose event it is, in `c['a']`; empty in all others.
    """

    steps: tuple[Step, ...]
    span: Span = field(default=NOWHERE, compare=False, repr=False)
    source: str = ""

    def __post_init__(self) -> None:
        if not self.steps or not isinstance(self.steps[0], str):
            raise ValueError(f"a property starts with a key, not {self.steps!r}")

    @property
    def has_any(self) -> bool:
        """Whether one of the steps is `[*]`."""
        return AnyElement.ANY in self.steps


@lru_cache(maxsize=4096)
def format_property(property_: Property) -> str:
    """A property, bare where that reads back as the same.

    >>> format_property(Property(("a", 0, "b c")))
    "e['a'][0]['b c']"
    """
    first = property_.steps[0]
    assert isinstance(first, str)
    if len(property_.steps) == 1 and not property_.source and is_plain_name(first):
        return first
    return format_path(property_)


def format_path(property_: Property) -> str:
    """A property as a path, which never is a name that `as` gives.

    >>> format_path(Property(("a",)))
    "e['a']"
    """
    return (property_.source or "e") + "".join(f"[{_step(step)}]" for step in property_.steps)


def is_plain_name(text: str) -> bool:
    """Whether a key can be written bare."""
    return bool(_PLAIN_NAME.fullmatch(text)) and text.lower() not in RESERVED


def _step(step: Step) -> str:
    match step:
        case str():
            return quote(step)
        case int():
            return str(step)
        case AnyElement():
            return "*"
