"""A piece of an input: whole lines, as a part of the bytes that were read at once."""

from __future__ import annotations

from typing import NamedTuple


class Slice(NamedTuple):
    """The lines from `start` to `end` in `data`. Only an input's last line may lack its newline."""

    data: bytes
    start: int
    end: int


def whole_lines(parts: list[bytes]) -> tuple[list[Slice], bytes]:
    r"""The whole lines of what has been read, without copying them, and what comes after.

    The last part holds a newline; what ends at its first one is put together with what came before.

    >>> slices, rest = whole_lines([b'{"a"', b':1}\n{}\n{}\n{"b'])
    >>> [data[start:end] for data, start, end in slices], rest
    ([b'{"a":1}\n', b'{}\n{}\n'], b'{"b')
    """
    *before, last = parts
    start = 0
    slices = []
    if any(before):
        start = last.index(b"\n") + 1
        line = b"".join([*before, last[:start]])
        slices.append(Slice(line, 0, len(line)))
    end = last.rindex(b"\n") + 1
    if start < end:
        slices.append(Slice(last, start, end))
    return slices, last[end:]


def joined(slices: list[Slice]) -> bytes | memoryview:
    """The lines of some slices as one text, copied only where there are several."""
    views = [memoryview(data)[start:end] for data, start, end in slices]
    return views[0] if len(views) == 1 else b"".join(views)
