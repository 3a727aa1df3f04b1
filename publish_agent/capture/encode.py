"""An event to its JSON text, as the rules of `json_values` have it, without what is redacted.

Runs on the caller's thread, so it never asks for a deeper stack, and no code of an event's own runs
while C code walks through it: `mql.values.plain_json` writes what is of exact JSON types, and
nothing else is walked through but in copies (`mql.values.json_coercion`). Both are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice

from mql.values.json_coercion import Apart
from mql.values.plain_json import MAX_CHARACTERS, writer
from publish_agent.capture.redaction import Redaction

MAX_DEPTH = 200
"""Levels of nesting of an event."""
MAX_VALUES = 100_000
"""Values of an event that is not plain; `mql.values.plain_json` has the limit of those that are."""

_NOTHING_HIDDEN = Redaction()
_EXACT = frozenset({str, int, float, bool, type(None), dict, list, tuple})


def encoder(redaction: Redaction) -> Callable[[object], bytes]:
    """The function that encodes events. It raises (whatever an event raises) if it cannot."""
    if not redaction.rules:
        return encode

    def encode_redacted(event: object) -> bytes:
        data = _write_plain(event)
        return redaction.apply(data) if data else _write_oddly(event, redaction)

    return encode_redacted


def _write_oddly(event: object, redaction: Redaction = _NOTHING_HIDDEN) -> bytes:
    apart = Apart(MAX_DEPTH, MAX_VALUES, MAX_CHARACTERS, guarded=bool(redaction.rules))
    if type(event) is dict and len(event) <= MAX_VALUES:
        event = _without_odd(event, apart)
        if data := _write_plain(event):  # as most are then
            return redaction.apply(data) if redaction.rules else data
    made = apart.of(_keys_of(event) if _is_mapping(event) else event)
    if type(made) is not dict:
        raise TypeError(f"an event is a dict, not {type(event).__name__}")
    return apart.text(redaction.without(made) if redaction.rules else made)


def _without_odd(event: dict[object, object], apart: Apart) -> dict[object, object]:
    """A copy of an event in which what is of no exact JSON type is taken apart."""
    return {
        key: value if type(value) in _EXACT else apart.of(value, 1)
        for key, value in event.copy().items()
    }


def _is_mapping(event: object) -> bool:
    kind = type(event)
    return issubclass(kind, Mapping) and not issubclass(kind, dict)


def _keys_of(event: object) -> dict[object, object]:
    """What a mapping holds that is no dict; it may have no end."""
    assert isinstance(event, Mapping)
    return {key: event[key] for key in islice(iter(event.keys()), MAX_VALUES + 1)}


encode = writer(_write_oddly, objects_only=True)
"""The compact JSON text of an event. Raises TypeError if it is none, and what it raises."""

_write_plain = writer(lambda _: b"", objects_only=True)
