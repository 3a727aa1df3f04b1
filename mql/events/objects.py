"""Lines of JSON to columns by way of Python objects: what compiled code does not take."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
import pyarrow as pa

from mql.events.shape import Shape, column
from mql.language.syntax import Property
from mql.values.json_values import stack_is_bounded

_MAX_LEARNING = 16
"""After this many chunks that did not fit, types are not tried any more."""


class Objects:
    """Decodes some paths; what types their values have it learns from the first lines."""

    def __init__(self, paths: Sequence[Property]) -> None:
        self._paths = paths
        self._shape = Shape()
        for path in paths:
            self._shape.add(path.steps)
        self._typed: type[msgspec.Struct] | None = None
        self._decoder: msgspec.json.Decoder[Any] | None = None
        self._open: msgspec.json.Decoder[Any] | None = None
        with suppress(ValueError):  # a key that cannot be the name of a field
            self._open = msgspec.json.Decoder(self._shape.struct(typed=False))
        self._learned = 0

    def columns(self, chunk: bytes, size: int) -> list[pa.Array] | None:
        """The columns of a chunk of so many lines, if each is one event; else None."""
        events = self._decode(chunk)
        if events is None or len(events) != size:
            return None
        typed = type(events[0]) is self._typed
        return [column(events, path, self._shape, typed=typed) for path in self._paths]

    def _decode(self, chunk: bytes) -> list[Any] | None:
        """The events of a chunk in which every line is one, or None."""
        if self._open is None or not stack_is_bounded():
            return None
        try:
            if self._decoder is not None:
                return self._decoder.decode_lines(chunk)
        except msgspec.ValidationError:
            pass
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None
        try:
            events = self._open.decode_lines(chunk)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None
        self._learn(events)
        return events

    def _learn(self, events: list[Any]) -> None:
        self._learned += 1
        if self._learned > _MAX_LEARNING:
            self._decoder = self._open
            return
        for key, shape in self._shape.keys.items():
            shape.learn(self._shape.take(key, events))
        try:
            self._typed = self._shape.struct()
        except ValueError:  # as above, further down in the event
            self._learned = _MAX_LEARNING
            self._decoder = self._open
            return
        self._decoder = msgspec.json.Decoder(self._typed)
