"""What agents have seen, put together: the streams, their fields, and what a query gets wrong."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mql.errors import UnnamedStreamError
from mql.language.format import format_property
from mql.language.nearest import nearest_name
from mql.language.quoting import quote
from mql.language.stream_hint import with_streams
from mql.language.syntax import AnyElement, Property
from mql.wire.messages import StreamSeen
from mql.wire.names import KINDS_MAX
from source_jobs.protocol.agents import Agents
from source_jobs.query.live_query import Question

_PROVENANCE = "_agent"
_NESTED = {"list", "object"}
_MOST_FIELDS = 1_000
_MOST_SERVICES = 100
_MOST_CATALOGUES = 200
"""So many agents' fields of a stream are put together."""
_MOST_WARNINGS, _MOST_GUESSES = 20, 3
_MOST_NAMES = 1_000


@dataclass(slots=True)
class SeenField:
    """A field as all agents together have seen it."""

    kinds: dict[str, None] = field(default_factory=dict)
    example: str = ""


@dataclass(slots=True)
class SeenStream:
    """A stream as all agents together have seen it."""

    agents: int = 0
    rate: float = 0.0
    services: set[str] = field(default_factory=set)
    fields: dict[str, SeenField] = field(default_factory=dict)


def seen_stream(name: str, agents: Agents, fields_of: int = _MOST_CATALOGUES) -> SeenStream:
    """A stream that agents offer, with the fields that some of them have seen in it."""
    stream = SeenStream()
    for agent in agents.offering(name):
        stream.agents += 1
        if len(stream.services) < _MOST_SERVICES:
            stream.services.add(agent.service)
        seen = agent.catalogue.get(name)
        if seen is not None:
            stream.rate += seen.rate
            if fields_of > 0 and seen.fields:
                fields_of -= 1
                _add_fields(stream.fields, seen)
    return stream


def _add_fields(fields: dict[str, SeenField], seen: StreamSeen) -> None:
    for each in seen.fields:
        known = fields.get(each.path)
        if known is None:
            if len(fields) >= _MOST_FIELDS:
                continue
            known = fields[each.path] = SeenField()
        if len(known.kinds) < KINDS_MAX:
            known.kinds.update(dict.fromkeys(each.kinds))
        known.example = known.example or each.example


def warnings_about(
    question: Question, agents: Agents, knows: Sequence[str] = ()
) -> tuple[str, ...]:
    """What looks wrong about a query's streams and fields; of many things the first ones.

    Only streams that the asker `knows`, by patterns (none: all), are suggested.
    """
    may = may_name(knows) if knows else None
    streams = {name: seen_stream(name, agents) for name in dict.fromkeys(question.streams)}
    wrong = _Wrong()
    for name, stream in streams.items():
        if not stream.agents:
            wrong.add(f"no agent publishes `{name}`", name, agents.streams, may)
    if all(stream.fields for stream in streams.values()):
        fields = {path: seen for each in streams.values() for path, seen in each.fields.items()}
        paths = sorted(fields)
        for path in question.plan.agent.reads.paths:
            if not _is_seen(path, fields, paths):
                written = format_property(path)
                wrong.add(f"no agent has seen the field `{written}`", written, lambda: paths)
    return tuple(wrong.warnings)


@dataclass(slots=True)
class _Wrong:
    """Warnings, no more than so many, of which few say what may have been meant."""

    warnings: list[str] = field(default_factory=list)

    def add(
        self,
        warning: str,
        name: str,
        candidates: Callable[[], list[str]],
        may: Callable[[str], bool] | None = None,
    ) -> None:
        """Note what is wrong, and the name that was meant if that is to be seen, and `may` be."""
        if len(self.warnings) >= _MOST_WARNINGS:
            return
        guess = len(self.warnings) < _MOST_GUESSES
        near = nearest_name(name, candidates(), may=may) if guess else None
        self.warnings.append(f"{warning}; did you mean `{near}`?" if near else warning)


def among_streams(
    error: UnnamedStreamError, agents: Agents, knows: Sequence[str] = ()
) -> UnnamedStreamError:
    """The refusal of a query that names no stream, with those that the asker `knows`.

    Of very many streams the first are looked at; where all may be known, the others are counted.
    """
    names = agents.streams()
    looked_at = [name for name in names[:_MOST_NAMES] if agents.is_offered(name)]
    if knows:
        return with_streams(error, list(filter(may_name(knows), looked_at)))
    return with_streams(error, looked_at, more=max(0, len(names) - _MOST_NAMES))


def may_name(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether a name fits one of some patterns, in which `*` stands for any characters.

    >>> may = may_name(["requests*", "*.orders"])
    >>> may("requests_eu"), may("shop.orders"), may("payments")
    (True, True, False)
    """
    split = [pattern.split("*") for pattern in patterns]
    return lambda name: any(_fits(name, parts) for parts in split)


def _fits(name: str, parts: list[str]) -> bool:
    """Whether a name has the parts of a pattern in turn; takes no longer than looking for each."""
    first, *middle = parts
    if not middle:
        return name == first
    last, end = middle.pop(), len(name)
    if not (name.startswith(first) and name.endswith(last)):
        return False
    place, end = len(first), end - len(last)
    for part in middle:
        place = name.find(part, place, end)
        if place < 0:
            return False
        place += len(part)
    return place <= end


def _is_seen(path: Property, fields: dict[str, SeenField], paths: list[str]) -> bool:
    """Whether a path, something in it, or a list or object around it has been seen.

    Of what a list holds, or of what lies deep, nothing is known. `paths` are the fields' in order.
    """
    steps = path.steps[: path.steps.index(AnyElement.ANY)] if path.has_any else path.steps
    if steps[0] == _PROVENANCE:
        return True
    if format_property(Property(steps)) in fields:
        return True
    if _any_in(steps, paths):
        return True
    for length in range(1, len(steps)):
        around = fields.get(format_property(Property(steps[:length])))
        if around and _NESTED & set(around.kinds):
            return not _any_in(steps[:length], paths)
    return False


def _any_in(steps: tuple[object, ...], paths: list[str]) -> bool:
    """Whether a field inside a path has been seen."""
    inside = _bracketed(steps)
    place = bisect_left(paths, inside)
    return place < len(paths) and paths[place].startswith(inside)


def _bracketed(steps: tuple[object, ...]) -> str:
    return "e" + "".join(f"[{quote(s) if isinstance(s, str) else s}]" for s in steps)
