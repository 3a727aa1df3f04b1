"""A stream's `publish` as Python code of its own, where none was compiled.

It stays one function, whose code is exchanged: so all code that it may have is made for the same
globals.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Sequence
from types import FunctionType
from typing import Any

from publish_agent.capture.event_buffer import Counter, Status
from publish_agent.capture.event_target import EventTarget
from publish_agent.capture.native.binding import EPOCHS, Publisher
from publish_agent.screen.code_template import bind, with_blanks
from publish_agent.screen.path_code import NAMES

_SCOPE: dict[str, Any] = dict(NAMES)
"""The globals of each stream's `publish`, whatever code it has."""


def target_code(code: Sequence[ast.stmt], blanks: Sequence[str], name: str) -> FunctionType:
    """The function of a name that statements define, to be bound for an `EventTarget`."""
    return with_blanks(code, blanks, _SCOPE, name)


_HAND_ON = target_code(
    ast.parse("def hand_on(event):\n    target = TARGET\n    return target(event)").body,
    ["TARGET"],
    "hand_on",
)
_HAND_ON_WATCHED = target_code(
    ast.parse("""
def hand_on_watched(event):
    epochs = EPOCHS
    target = TARGET
    inside = epochs[0]
    inside.append(None)
    while inside is not epochs[0]:
        inside.pop()
        inside = epochs[0]
        inside.append(None)
    try:
        return target(event)
    finally:
        inside.pop()
""").body,
    ["EPOCHS", "TARGET"],
    "hand_on_watched",
)
"""The call counts in the epoch that is the present one while it is counted."""

_GIVE = target_code(ast.parse("def give(event):\n    return STATUS").body, ["STATUS"], "give")
_COUNT = target_code(
    ast.parse("def count(event):\n    return next(TICKS)").body, ["TICKS"], "count"
)


def python_constant_target(status: Status) -> EventTarget:
    """A target as `binding.constant_target` makes one."""
    return bind(_GIVE, {"STATUS": status})


def python_publisher(idle: Status) -> Publisher:
    """A `publish` as `binding.publisher` makes one."""
    counter = Counter(idle)
    count = bind(_COUNT, {"TICKS": counter.ticks})
    epochs: deque[list[None]] = deque([[]], EPOCHS)

    def exchange(target: EventTarget | None, is_watched: bool) -> None:  # noqa: FBT001 - as compiled
        if target is None:
            target = count
        elif is_watched:
            target = bind(_HAND_ON_WATCHED, {"EPOCHS": epochs, "TARGET": target})
        elif not isinstance(target, FunctionType):
            target = bind(_HAND_ON, {"TARGET": target})
        publish.__code__ = target.__code__

    publish = FunctionType(count.__code__, _SCOPE, "publish")
    return Publisher(
        publish,
        exchange,
        counter.total,
        begin_epoch=lambda: epochs.appendleft([]),
        under_way=lambda: [*map(len, epochs)],
    )
