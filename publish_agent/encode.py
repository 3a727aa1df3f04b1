"""An event to its JSON text, as the rules of `mql.values` have it, without what is redacted.

Runs on the caller's thread, so it never asks for a deeper stack: an event that is nested deeper
than Python's limit cannot be read. And no code of an event's own runs while msgspec walks through
its lists: another thread could then change them under its feet, which ends the process. What
msgspec does not know is put right before, in copies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from mql.values import normalize
from publish_agent.redaction import Redaction

_MAX_DEPTH = 200
"""Levels to which an event with odd values is put right."""

_write = msgspec.json.Encoder().encode


def encoder(redaction: Redaction) -> Callable[[object], bytes]:
    """The function that encodes events. It raises (whatever an event raises) if it cannot."""
    return (lambda event: redaction.apply(encode(event))) if redaction.rules else encode


def encode(event: object) -> bytes:
    """The compact JSON text of an event. Raises TypeError if it is none, and what it raises."""
    try:
        data = _write(event)
    except (ValueError, TypeError, RecursionError):  # odd values or keys, lone surrogates
        data = _write(_clean(event, _MAX_DEPTH))
    if data[:1] != b"{":
        if isinstance(event, Mapping):
            return encode(dict(event))
        raise TypeError(f"an event is a dict, not {type(event).__name__}")
    return data


def _clean(value: object, depth: int) -> object:
    """The value in kinds that JSON has, all the way down."""
    if depth == 0:
        raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()
    value = normalize(value)
    if isinstance(value, dict):
        return {normalize(str(k)): _clean(v, depth - 1) for k, v in list(value.items())}
    if isinstance(value, list):
        return [_clean(element, depth - 1) for element in list(value)]
    return value
