"""Recorded frames: what they hold for people to read, and their bytes, one file a message.

A file has the message with all of its fields, those that are left out on the wire too; what its
payload holds; and the bytes of both, as they went over the wire.
"""

from __future__ import annotations

import base64
import itertools
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec

from tests.surface import inside
from tests.surface.wire_words import DIRECTIONS, word_of
from tests.wire.conversation import conversation
from tests.wire.cores import READ, Said

M = inside.messages

HERE = Path(__file__).parent / "frames" / str(M.PROTOCOL)
"""The frames of this version of the protocol."""

SIZES = frozenset({"size", "sent_bytes", "queued_bytes"})
"""Fields that count bytes of Arrow, of which other versions of it make a few more or less."""

FULL = "full"
"""The form of a message in which no field has its default; it is made of the types alone."""

_COLUMNS = 100
_HEADING = re.compile(r"^(message|payload|header bytes|payload bytes):\n", re.MULTILINE)


@dataclass(frozen=True)
class Recorded:
    """What a file holds."""

    message: str
    payload: str
    header_bytes: bytes
    payload_bytes: bytes


def all_said() -> dict[str, Said]:
    """All messages that have a file, as they are made today."""
    full = (
        full_message(direction, kind) for direction, kinds in DIRECTIONS.items() for kind in kinds
    )
    return {**conversation(), **{said.name: said for said in full}}


def path_of(name: str) -> Path:
    return HERE / f"{name}.txt"


def text_of(said: Said) -> str:
    """The text of a message's file."""
    form = f" ({said.form})" if said.form else ""
    parts = [
        f"{said.direction}: {said.word}{form}\n",
        f"message:\n{message_text(message_of(said))}\n",
    ]
    if said.payload:
        parts.append(f"payload:\n{payload_text(said.word, said.payload)}\n")
    parts.append(f"header bytes:\n{_wrapped(said.header.hex(' '))}\n")
    if said.payload:
        parts.append(f"payload bytes:\n{_wrapped(base64.b64encode(said.payload).decode())}\n")
    return "\n".join(parts)


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, _COLUMNS))


def recorded(path: Path) -> Recorded:
    """What a file holds."""
    parts = _HEADING.split(path.read_text(encoding="utf-8"))[1:]
    found = {name: text.strip("\n") for name, text in zip(parts[::2], parts[1::2], strict=True)}
    return Recorded(
        found["message"],
        found.get("payload", ""),
        bytes.fromhex(found["header bytes"]),
        base64.b64decode(found.get("payload bytes", "")),
    )


def message_of(said: Said) -> M.Message:
    message, _ = READ[said.direction]().decode([said.header])
    assert isinstance(message, M.Message)
    return message


def message_text(message: M.Message) -> str:
    """A message as JSON, with those fields that have their defaults."""
    word = {"is": word_of(type(message))}
    return msgspec.json.format(msgspec.json.encode({**word, **plain(message)}), indent=2).decode()


def plain(value: object) -> Any:
    """A value as JSON knows them, with all fields of maps, and bytes in hexadecimal."""
    match value:
        case msgspec.Struct():
            return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        case tuple():
            return [plain(each) for each in value]
        case dict():
            return {key: plain(each) for key, each in value.items()}
        case bytes():
            return value.hex()
        case _:
            return value


def payload_text(word: str, payload: bytes) -> str:
    """What a payload holds: JSON, or the columns of Arrow with their types and values."""
    if word == "shown":
        return msgspec.json.format(payload, indent=2).decode()
    batch = inside.read_batch(payload)
    return "\n".join(
        f"{name} {batch.column(name).type}: "
        + msgspec.json.encode(inside.to_python(batch.column(name))).decode()
        for name in batch.schema.names
    )


def with_sizes_of(fresh: M.Message, known: M.Message) -> M.Message:
    """A message with the sizes of another one, where both have some."""
    return msgspec.convert(
        _sized(msgspec.to_builtins(fresh), msgspec.to_builtins(known)), type(fresh)
    )


def _sized(fresh: Any, known: Any) -> Any:
    match fresh, known:
        case dict(), dict():
            sized = {key: _sized(value, known.get(key)) for key, value in fresh.items()}
            return sized | {key: known[key] for key in SIZES & fresh.keys() if known.get(key)}
        case ((list() | tuple()), (list() | tuple())):
            return [_sized(*pair) for pair in itertools.zip_longest(fresh, known)][: len(fresh)]
        case _:
            return fresh


def full_message(direction: str, kind: type[M.Message]) -> Said:
    """A message in which every field, and every one of the maps inside, has a value of its own."""
    message = _full(kind, "", itertools.count(1))
    (header,) = inside.codec.encode(message)
    return Said(direction, word_of(kind), FULL, bytes(header), b"")


def _full(kind: Any, name: str, numbers: Any) -> Any:
    arguments = get_args(kind)
    match kind:
        case type() if issubclass(kind, msgspec.Struct):
            made: dict[str, Any] = {}
            for field in msgspec.structs.fields(kind):
                value = _full(field.type, field.name, numbers)
                made[field.name] = not value if value is field.default else value
            return kind(**made)
        case _ if kind is bool:
            return True
        case _ if kind is int:
            return next(numbers)
        case _ if kind is float:
            return next(numbers) / 8
        case _ if kind is str:
            return f"{name} {next(numbers)}"
        case _ if kind is bytes:
            return next(numbers).to_bytes(4, "little")
        case _ if get_origin(kind) is tuple:
            return (_full(arguments[0], name, numbers),)
        case _ if get_origin(kind) is dict:
            return {f"{name} {next(numbers)}": _full(arguments[1], name, numbers)}
        case _ if type(None) in arguments:
            (inner,) = [each for each in arguments if each is not type(None)]
            return _full(inner, name, numbers)
        case _:
            raise AssertionError(f"a field of another type: {kind}")
