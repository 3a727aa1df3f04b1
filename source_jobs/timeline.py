"""The timeline of a trace: what to follow in each stream, and events put in order. Pure."""

from __future__ import annotations

import heapq
import itertools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import mql
from mql.language.format import format_property
from mql.language.nearest import nearest_name
from mql.language.parser import parse
from mql.language.quoting import quote
from mql.language.syntax import RESERVED, Property

DELAY_MS = 500
"""So long an event waits for older ones of other streams."""

STREAMS_MAX = 20
"""Streams of one trace."""
Streams = Mapping[str, Collection[str]]
"""The fields that have been seen in each stream, as MQL writes them."""

_EXAMPLE = "requests.user_id=u123"
_FORM = re.compile(
    r"(?:(?P<stream>[^=]+?)\.)?"
    r"(?P<property>e(?:\[(?:'[^']*'|\"[^\"]*\"|-?\d+|\*)\])+|[^.=\[\]]+)"
    r"=(?P<value>.*)",
    re.DOTALL,
)
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:@]*")


@dataclass(frozen=True, slots=True)
class TracedValue:
    """A value of a property, as MQL writes that; in a stream, or else in all that have it."""

    stream: str | None
    property: str
    value: str


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


def read_wanted(words: Sequence[str]) -> list[TracedValue]:
    """`STREAM.PROPERTY=VALUE` or `PROPERTY=VALUE`. Raises ValueError, and QueryError."""
    wanted = [_read(word) for word in words]
    for each in wanted:
        mql.plan(_follow(each.stream or "stream", each).query, live=True)
    return wanted


def find_followed(wanted: Sequence[TracedValue], streams: Callable[[], Streams]) -> list[Followed]:
    """What to follow in each stream: a property without one in all that have it.

    For those `streams` is asked, once. Raises ValueError.
    """
    seen = streams() if any(each.stream is None for each in wanted) else {}
    followed: list[Followed] = []
    for each in wanted:
        names = [each.stream] if each.stream is not None else _having(each.property, seen)
        followed += [_follow(name, each) for name in names]
    if len(followed) > STREAMS_MAX:
        raise ValueError(f"a trace follows {STREAMS_MAX} streams at most, not {len(followed)}")
    return list(dict.fromkeys(followed))


def write_followed(words: Sequence[str]) -> list[Followed]:
    """Of streams that are named, without a look at the queries. Raises ValueError.

    >>> write_followed(["requests.user_id=7"])[0].query
    "select *, _agent from requests where user_id == 7 or user_id == '7'"
    """
    followed = []
    for word in words:
        wanted = _read(word)
        if wanted.stream is None:
            raise ValueError(f"{word!r} is not STREAM.PROPERTY=VALUE, such as {_EXAMPLE}")
        followed.append(_follow(wanted.stream, wanted))
    return followed


def _read(word: str) -> TracedValue:
    match = _FORM.fullmatch(word)
    if match is None:
        raise ValueError(
            f"{word!r} is neither STREAM.PROPERTY=VALUE nor PROPERTY=VALUE, such as {_EXAMPLE} or"
            f" e['user']['id']=u123"
        )
    property_ = match["property"]
    if not property_.startswith("e["):
        property_ = format_property(Property((property_,)))
    return TracedValue(match["stream"], property_, match["value"])


def _follow(stream: str, wanted: TracedValue) -> Followed:
    literals = _literals(wanted.value)
    condition = " or ".join(f"{wanted.property} == {literal}" for literal in literals)
    query = f"select *, _agent from {_source(stream)} where {condition}"  # noqa: S608 - its parts are quoted
    return Followed(stream, query)


def _having(property_: str, streams: Streams) -> list[str]:
    """The streams in whose events a property has been seen."""
    property_ = _plain(property_)
    having = [name for name, fields in streams.items() if property_ in fields]
    if having:
        return having
    near = nearest_name(property_, sorted({f for fields in streams.values() for f in fields}))
    hint = f"; did you mean `{near}`?" if near else f"; to wait for one, name it: {_EXAMPLE}"
    raise ValueError(f"no stream has `{property_}` in the events that were looked at{hint}")


def _plain(property_: str) -> str:
    """A property however it is quoted, as fields are told. Raises QueryError."""
    value = parse(f"select {property_}").items[0].value
    assert isinstance(value, Property)
    return format_property(value)


def _literals(value: str) -> list[str]:
    """What a value may be in an event: what looks like a number may be one, or a string."""
    texts = [quote(value)]
    if _NUMBER.fullmatch(value) or value in {"true", "false"}:
        texts.insert(0, value)
    return texts


def _source(name: str) -> str:
    plain = _NAME.fullmatch(name) and name.lower() not in RESERVED
    return name if plain else quote(name)
