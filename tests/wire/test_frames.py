"""Frames that were recorded are read as they were meant, and the same bytes are made today.

`frames/1` holds what a conversation of the real cores has said, of each kind of message and of each
direction, and one message of each kind in which no field has its default. `python
tests/wire/test_frames.py --update` writes what has changed. A frame that was other bytes goes to
`before/`: those of before may still say it, and so it is read as long as it is there. Remove it
where no version ever said it.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

if str(Path(__file__).resolve().parents[2]) not in sys.path:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.surface import inside
from tests.surface.wire_words import DIRECTIONS, inner_structs, word_of
from tests.wire.cores import READ, Said
from tests.wire.frames import (
    FULL,
    HERE,
    all_said,
    message_text,
    path_of,
    payload_text,
    recorded,
    text_of,
    with_sizes_of,
)

BEFORE = sorted(HERE.glob("*/before/*.txt"))
FILES = sorted(HERE.glob("*/*.txt"))


def name_of(path: Path) -> str:
    return path.relative_to(HERE).with_suffix("").as_posix()


def direction_of(path: Path) -> str:
    """Whose message a file holds, by its folder."""
    folder = path.relative_to(HERE).parts[0]
    return folder.replace("_", " ").replace("job", "source job")


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_recorded_frame_is_read_as_it_was_meant(path: Path) -> None:
    known = recorded(path)
    frames = [known.header_bytes, *([known.payload_bytes] if known.payload_bytes else [])]
    message, payload = READ[direction_of(path)]().decode(frames)
    assert message_text(message) == known.message
    if payload:
        assert payload_text(word_of(type(message)), payload) == known.payload


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_what_was_read_is_written_as_the_same_bytes(path: Path) -> None:
    known = recorded(path)
    message, _ = READ[direction_of(path)]().decode([known.header_bytes])
    (header,) = inside.codec.encode(message)
    assert header == known.header_bytes


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_same_is_said_today(path: Path) -> None:
    said, known = all_said()[name_of(path)], recorded(path)
    message, before = (
        READ[said.direction]().decode([header])[0] for header in (said.header, known.header_bytes)
    )
    message = with_sizes_of(message, before)
    assert message_text(message) == known.message
    (header,) = inside.codec.encode(message)
    assert header == known.header_bytes
    assert same_payload(said, known.payload)


@pytest.mark.parametrize("path", [*FILES, *BEFORE], ids=name_of)
def test_what_a_frame_meant_is_still_in_it(path: Path) -> None:
    """Fields that came later have values beside those that were recorded."""
    known = recorded(path)
    message, _ = READ[direction_of(path)]().decode([known.header_bytes])
    meant = msgspec.json.decode(known.message)
    assert holds(msgspec.json.decode(message_text(message)), meant)
    if known.payload:
        word = word_of(type(message))
        assert payload_text(word, known.payload_bytes) == known.payload


def holds(now: object, before: object) -> bool:
    """Whether all that was meant is there, whatever there is besides.

    >>> holds({"a": 1, "b": [{"c": 2, "d": 3}]}, {"b": [{"c": 2}]}), holds({"a": 1}, {"a": 2})
    (True, False)
    """
    match now, before:
        case dict(), dict():
            return all(key in now and holds(now[key], value) for key, value in before.items())
        case list(), list():
            return len(now) == len(before) and all(map(holds, now, before))
        case _:
            return now == before


def same_payload(said: Said, known: str) -> bool:
    """Whether a payload holds what is recorded, whatever Arrow makes of it in bytes."""
    text = payload_text(said.word, said.payload) if said.payload else ""
    if said.word != "shown" or not said.payload:
        return text == known
    return without_sizes(text) == without_sizes(known)


def without_sizes(text: str) -> object:
    def cut(value: object) -> object:
        match value:
            case dict():
                return {k: k if k.endswith("_bytes") else cut(each) for k, each in value.items()}
            case list():
                return [cut(each) for each in value]
            case _:
                return value

    return cut(msgspec.json.decode(text))


def test_each_kind_of_message_has_frames() -> None:
    said = {
        (direction, word_of(kind), is_full)
        for direction, kinds in DIRECTIONS.items()
        for kind in kinds
        for is_full in (False, True)
    }
    known = {
        (direction_of(path), path.stem.partition("-")[0], path.stem.endswith(f"-{FULL}"))
        for path in FILES
    }
    assert said == known
    assert {name_of(path) for path in FILES} == {*all_said()}


def test_each_field_has_a_frame_in_which_it_is_not_left_out() -> None:
    written: set[tuple[type, str]] = set()
    for path in FILES:
        message, _ = READ[direction_of(path)]().decode([recorded(path).header_bytes])
        waiting: list[object] = [message]
        while waiting:
            match waiting.pop():
                case msgspec.Struct() as each:
                    for field in msgspec.structs.fields(each):
                        value = getattr(each, field.name)
                        waiting.append(value)
                        if value != field.default:
                            written.add((type(each), field.name))
                case tuple() as several:
                    waiting += several
    kinds = {kind for kinds in DIRECTIONS.values() for kind in kinds} | {*inner_structs()}
    wanted = {(kind, field) for kind in kinds for field in kind.__struct_fields__}
    assert written == wanted


def update() -> None:
    """Write what has changed; of a payload that holds the same the bytes are left as they are."""
    for name, said in all_said().items():
        path = path_of(name)
        payload = said.payload
        if path.exists():
            known = recorded(path)
            payload = known.payload_bytes if same_payload(said, known.payload) else payload
            if said.header != known.header_bytes or payload != known.payload_bytes:
                keep(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text_of(replace(said, payload=payload)), encoding="utf-8")
    for path in HERE.glob("*/*.txt"):
        if name_of(path) not in all_said():
            keep(path)


def keep(path: Path) -> None:
    """Put a frame among those of before."""
    folder = path.parent / "before"
    folder.mkdir(exist_ok=True)
    number = 1 + len([*folder.glob(f"{path.stem}.*.txt")])
    path.rename(folder / f"{path.stem}.{number}.txt")


if __name__ == "__main__":
    assert sys.argv[1:] == ["--update"], __doc__
    update()
