"""Long lists in pages, as JSON: what a client is shown at once has a bound in bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

PAGE_BYTES_MAX = 1 << 20
"""A page is not longer, unless its only entry is."""

_K = TypeVar("_K")


@dataclass(frozen=True, slots=True)
class Page:
    """A JSON array, and after which entry the next page begins; empty: there is none."""

    body: bytes
    after: str = ""


def page_of(
    keys: Sequence[_K],
    entry: Callable[[_K], object],
    cursor: Callable[[_K], str],
    limit: int = 0,
) -> Page:
    """The first entries of a list, at most `limit` if it is above 0; None is no entry."""
    entries: list[bytes] = []
    size = 0
    for number, key in enumerate(keys):
        if 0 < limit <= len(entries):
            return _page(entries, cursor(keys[number - 1]))
        shown = entry(key)
        if shown is None:
            continue
        encoded = msgspec.json.encode(shown)
        size += len(encoded) + 1
        if entries and size > PAGE_BYTES_MAX:
            return _page(entries, cursor(keys[number - 1]))
        entries.append(encoded)
    return _page(entries, "")


def _page(entries: list[bytes], after: str) -> Page:
    return Page(b"[" + b",".join(entries) + b"]", after)
