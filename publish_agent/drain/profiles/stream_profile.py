"""What a stream's events look like: paths, kinds, an example each, and how many come a second.

Learned from about one event a second. Nothing of it leaves the service until somebody asks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mql.language.paths import AnyElement, Property, Step, format_property
from mql.values.json_values import nested_json, read_json, write_json
from mql.wire.messages import FieldSeen, StreamSeen
from mql.wire.names import DEPTH_MAX, EXAMPLE_CHARACTERS_MAX, FIELDS_MAX, NAME_CHARACTERS_MAX

_ELEMENTS = 20
"""Elements of a list that are looked at."""
_FADE = 0.8
"""What counts of a second's rate in the next."""


@dataclass(slots=True)
class _Field:
    kinds: dict[str, None] = field(default_factory=dict)
    example: str = ""


class StreamLog:
    """What has been seen of one stream."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._fields: dict[tuple[Step, ...], _Field] = {}
        self._events = self._seconds = 0.0

    def count(self, events: int, span_us: int) -> None:
        """So many events came in a span of time."""
        self._events = self._events * _FADE + events
        self._seconds = self._seconds * _FADE + span_us / 1e6

    def learn(self, line: bytes) -> None:
        """Learn from an event's JSON text, redacted."""
        try:
            event = read_json(line)
        except ValueError:
            return
        if isinstance(event, dict):
            self._visit(event, (), 0)

    def seen(self) -> StreamSeen:
        """What to tell of it."""
        rate = self._events / self._seconds if self._seconds else 0.0
        fields = [
            FieldSeen(_path(steps), tuple(f.kinds), f.example) for steps, f in self._fields.items()
        ]
        return StreamSeen(self.name, round(rate, 3), tuple(fields))

    def _visit(self, value: object, steps: tuple[Step, ...], depth: int) -> None:
        if steps:
            self._note(value, steps)
        if depth >= DEPTH_MAX:
            return
        if isinstance(value, dict):
            for key, inner in value.items():
                if len(key) <= NAME_CHARACTERS_MAX:
                    self._visit(inner, (*steps, key), depth + 1)
        elif isinstance(value, list):
            for element in value[:_ELEMENTS]:
                if isinstance(element, dict) and AnyElement.ANY not in steps:
                    for key, inner in element.items():
                        self._visit(inner, (*steps, AnyElement.ANY, key), depth + 1)

    def _note(self, value: object, steps: tuple[Step, ...]) -> None:
        found = self._fields.get(steps)
        if found is None:
            if len(self._fields) >= FIELDS_MAX:
                return
            found = self._fields[steps] = _Field()
        found.kinds[_kind(value)] = None
        if value is not None:
            text = nested_json(value) if isinstance(value, dict | list) else write_json(value)
            found.example = _cut(text)


def _cut(text: str) -> str:
    longest = EXAMPLE_CHARACTERS_MAX
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _path(steps: tuple[Step, ...]) -> str:
    return format_property(Property(steps))


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "double"
        case str():
            return "string"
        case list():
            return "list"
        case _:
            return "object"
