"""What agents tell of their streams, within the limits that an agent has itself."""

from __future__ import annotations

from collections.abc import Iterable

from mql.wire.messages import FieldSeen, StreamSeen
from mql.wire.names import (
    EXAMPLE_CHARACTERS_MAX,
    FIELDS_MAX,
    KINDS_MAX,
    NAME_CHARACTERS_MAX,
    PATH_CHARACTERS_MAX,
)

_RATE_MAX = 1e12
_ENTRY_BYTES = 200
"""What a stream or a field takes beside its texts."""


def within_limits(
    streams: Iterable[StreamSeen], bytes_max: int
) -> tuple[dict[str, StreamSeen], int]:
    """What agents may tell of streams, as much of it as there is room for, and its size."""
    kept: dict[str, StreamSeen] = {}
    used = 0
    for seen in streams:
        fields = tuple(_cut(f) for f in seen.fields[:FIELDS_MAX] if _is_path(f.path))
        size = _ENTRY_BYTES + sum(map(_size, fields))
        if used + size > bytes_max:
            break
        if seen.stream not in kept:
            rate = seen.rate if 0 <= seen.rate <= _RATE_MAX else 0.0
            kept[seen.stream] = StreamSeen(seen.stream, rate, fields)
            used += size
    return kept, used


def _is_path(path: str) -> bool:
    return 0 < len(path) <= PATH_CHARACTERS_MAX


def _cut(seen: FieldSeen) -> FieldSeen:
    kinds = tuple(kind[:NAME_CHARACTERS_MAX] for kind in seen.kinds[:KINDS_MAX])
    return FieldSeen(seen.path, kinds, seen.example[:EXAMPLE_CHARACTERS_MAX])


def _size(seen: FieldSeen) -> int:
    """About how many bytes a field takes, a character for four of them."""
    texts = len(seen.path) + len(seen.example) + sum(map(len, seen.kinds))
    return _ENTRY_BYTES + 4 * texts
