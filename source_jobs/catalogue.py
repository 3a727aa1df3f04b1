"""What agents have seen, put together: the streams, their fields, and what a query gets wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from mql.format import format_property
from mql.quoting import quote
from mql.syntax import AnyElement, Property
from source_jobs.agents import Agent
from source_jobs.questions import Question

_PROVENANCE = "_agent"
_NESTED = {"list", "object"}
_MOST_FIELDS = 1_000


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


def seen_streams(agents: Iterable[Agent]) -> dict[str, SeenStream]:
    """All streams that agents offer, with what they have seen of them."""
    streams: dict[str, SeenStream] = {}
    for agent in agents:
        for name in sorted(agent.streams):
            stream = streams.setdefault(name, SeenStream())
            stream.agents += 1
            stream.services.add(agent.service)
        for seen in agent.catalogue:
            if seen.stream in agent.streams:
                stream = streams[seen.stream]
                stream.rate += seen.rate
                for each in seen.fields:
                    if len(stream.fields) < _MOST_FIELDS or each.path in stream.fields:
                        known = stream.fields.setdefault(each.path, SeenField())
                        known.kinds.update(dict.fromkeys(each.kinds))
                        known.example = known.example or each.example
    return streams


def warnings_about(question: Question, agents: Iterable[Agent]) -> tuple[str, ...]:
    """What looks wrong about a query's streams and fields."""
    streams = seen_streams(agents)
    warnings = [
        f"no agent publishes `{name}`{_near(name, list(streams))}"
        for name in dict.fromkeys(question.streams)
        if name not in streams
    ]
    known = [streams[name].fields for name in question.streams if name in streams]
    if len(known) < len(question.streams) or not all(known):
        return tuple(warnings)
    fields = {path: seen for each in known for path, seen in each.items()}
    for path in question.plan.agent.reads.paths:
        if not _is_seen(path, fields):
            written = format_property(path)
            near = _near(written, list(fields))
            warnings.append(f"no agent has seen the field `{written}`{near}")
    return tuple(warnings)


def _near(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


def _is_seen(path: Property, fields: dict[str, SeenField]) -> bool:
    """Whether a path, something in it, or a list or object around it has been seen.

    Of what a list holds, or of what lies deep, nothing is known.
    """
    steps = path.steps[: path.steps.index(AnyElement.ANY)] if path.has_any else path.steps
    if steps[0] == _PROVENANCE:
        return True
    if format_property(Property(steps)) in fields:
        return True
    if any(seen.startswith(_bracketed(steps)) for seen in fields):
        return True
    for length in range(1, len(steps)):
        around = fields.get(format_property(Property(steps[:length])))
        inside = _bracketed(steps[:length])
        if around and _NESTED & set(around.kinds):
            return not any(seen.startswith(inside) for seen in fields)
    return False


def _bracketed(steps: tuple[object, ...]) -> str:
    return "e" + "".join(f"[{quote(s) if isinstance(s, str) else s}]" for s in steps)
