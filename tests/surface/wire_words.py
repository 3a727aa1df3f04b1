"""The words on the wire: what `is` may be, and the fields of every message and map inside one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import msgspec

from tests.surface import inside
from tests.surface.python_names import default_of
from tests.surface.record import text_of

M = inside.messages
DIRECTIONS: dict[str, tuple[type[M.Message], ...]] = {
    "agent to source job": get_args(M.AgentMessage),
    "source job to agent": get_args(M.ToAgent),
    "client to source job": get_args(M.ClientMessage),
    "source job to client": get_args(M.ToClient),
}
"""All kinds of message, by who says them to whom."""

_MODULES = (M, inside.codec, inside.names, inside.upstream)


def wire() -> str:
    sections: dict[str, list[str]] = {}
    for direction, kinds in DIRECTIONS.items():
        sections[f"{direction}, words of `is`"] = sorted(word_of(kind) for kind in kinds)
        for kind in kinds:
            sections[f"message {word_of(kind)}"] = list(_fields(kind))
    for struct in inner_structs():
        sections[f"map {struct.__name__}"] = list(_fields(struct))
    sections["numbers"] = sorted(
        {
            f"{name} = {value:,}"
            for module in _MODULES
            for name, value in vars(module).items()
            if name.isupper() and isinstance(value, int)
        }
    )
    sections["words of exactness"] = [str(word) for word in inside.Exactness]
    return text_of("Messages are these maps of MessagePack, with these keys.", sections)


def word_of(kind: type[M.Message]) -> str:
    word = kind.__struct_config__.tag
    assert kind.__struct_config__.tag_field == "is"
    assert isinstance(word, str)
    return word


def inner_structs() -> list[type[msgspec.Struct]]:
    """The maps inside messages, by name."""
    found: dict[str, type[msgspec.Struct]] = {}
    waiting: list[object] = [kind for kinds in DIRECTIONS.values() for kind in kinds]
    while waiting:
        each = waiting.pop()
        waiting += get_args(each)
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            waiting += [field.type for field in msgspec.structs.fields(each)]
            if not issubclass(each, M.Message):
                assert found.setdefault(each.__name__, each) is each, "two maps of one name"
    return [found[name] for name in sorted(found)]


def _fields(kind: type[msgspec.Struct]) -> Iterator[str]:
    """Fields in their order, by the key that stands on the wire."""
    config = kind.__struct_config__
    shape = "array" if config.array_like else "map"
    left_out = "left out" if config.omit_defaults else "written too"
    strange = ", others are refused" if config.forbid_unknown_fields else ""
    yield f"({shape}, defaults are {left_out}{strange})"
    for each in msgspec.structs.fields(kind):
        yield f"{each.encode_name}: {type_name(each.type)}{default_of(each)}"


def type_name(kind: object) -> str:
    """A type without the modules of its parts.

    >>> type_name(tuple[int, ...]), type_name(dict[str, float] | None)
    ('tuple[int, ...]', 'dict[str, float] | None')
    """
    arguments = get_args(kind)
    if kind is type(None):
        return "None"
    if kind is ...:
        return "..."
    if not arguments:
        return kind.__name__ if isinstance(kind, type) else str(kind)
    inner = [type_name(each) for each in arguments]
    origin = getattr(kind, "__origin__", None)
    if origin is None or not isinstance(origin, type):
        return " | ".join(inner)
    return f"{origin.__name__}[{', '.join(inner)}]"
