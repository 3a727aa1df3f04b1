"""The timeline of a trace: what to follow in each stream, and events put in order. Pure."""

from __future__ import annotations

import heapq
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import mql
from mql.format import format_property
from mql.quoting import quote
from mql.syntax import RESERVED, Property

DELAY_MS = 500
"""So long an event waits for older ones of other streams."""

_FORM = re.compile(
    r"(?P<stream>[^=]+?)\."
    r"(?P<property>e(?:\[(?:'[^']*'|\"[^\"]*\"|-?\d+|\*)\])+|[^.=\[\]]+)"
    r"=(?P<value>.*)",
    re.DOTALL,
)
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:@]*")


@dataclass(frozen=True, slots=True)
class Followed:
    """A stream, and the query for what to follow in it."""

    stream: str
    query: str


@dataclass(frozen=True, order=True, slots=True)
class Entry:
    """An event of the timeline; of the same time, the one that came first is first."""

    time_ms: int
    number: int
    stream: str = field(compare=False)
    event: dict[str, object] = field(compare=False)


class Timeline:
    """Puts entries in order: an entry leaves when it has waited `delay_ms`. Pure."""

    def __init__(self, delay_ms: int = DELAY_MS) -> None:
        self._delay_ms = delay_ms
        self._waiting: list[Entry] = []
        self._due: dict[int, int] = {}
        self._numbers = itertools.count()

    def add(self, stream: str, time_ms: int, event: dict[str, object], now_ms: int) -> None:
        """Take an event that has come."""
        entry = Entry(time_ms, next(self._numbers), stream, event)
        self._due[entry.number] = now_ms + self._delay_ms
        heapq.heappush(self._waiting, entry)

    def take(self, now_ms: int | None = None) -> list[Entry]:
        """The oldest entries that have waited long enough; all of them, without a time."""
        taken = []
        while self._waiting and (now_ms is None or self._due[self._waiting[0].number] <= now_ms):
            entry = heapq.heappop(self._waiting)
            del self._due[entry.number]
            taken.append(entry)
        return taken


def read_followed(words: Sequence[str]) -> list[Followed]:
    """`STREAM.PROPERTY=VALUE`, each as a query. Raises ValueError and QueryError.

    >>> read_followed(["requests.user_id=7"])[0].query
    "select *, _agent from requests where user_id == 7 or user_id == '7'"
    """
    followed = []
    for word in words:
        match = _FORM.fullmatch(word)
        if match is None:
            example = "requests.user_id=u123 or playback.e['user']['id']=u123"
            raise ValueError(f"{word!r} is not STREAM.PROPERTY=VALUE, such as {example}")
        stream, property_ = match["stream"], match["property"]
        if not property_.startswith("e["):
            property_ = format_property(Property((property_,)))
        condition = " or ".join(f"{property_} == {value}" for value in _literals(match["value"]))
        query = f"select *, _agent from {_source(stream)} where {condition}"  # noqa: S608 - its parts are quoted
        mql.plan(query, live=True)
        followed.append(Followed(stream, query))
    return followed


def _literals(value: str) -> list[str]:
    """What a value may be in an event: what looks like a number may be one, or a string."""
    texts = [quote(value)]
    if _NUMBER.fullmatch(value) or value in {"true", "false"}:
        texts.insert(0, value)
    return texts


def _source(name: str) -> str:
    plain = _NAME.fullmatch(name) and name.lower() not in RESERVED
    return name if plain else quote(name)
