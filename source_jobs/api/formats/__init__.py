"""The formats of an answer: each turns what is said into bytes, and knows nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from source_jobs.api.errors import refuse
from source_jobs.api.feeds.events import Said
from source_jobs.api.formats.arrow import ArrowStream
from source_jobs.api.formats.events import EventStream
from source_jobs.api.formats.frames import FrameStream
from source_jobs.api.formats.lines import LineStream


class Format(Protocol):
    """Writes one answer; made anew for each reader."""

    def write(self, said: Said) -> bytes:
        """The bytes of it; they may be none."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A format by its media type."""

    media_type: str
    make: Callable[[], Format]
    name: str


EVENTS = Kind("text/event-stream", EventStream, "sse")
LINES = Kind("application/x-ndjson", LineStream, "ndjson")
LINES_WITH_LEDGER = Kind("application/x-ndjson", lambda: LineStream(ledger=True), "ndjson")
ARROW = Kind("application/vnd.apache.arrow.stream", ArrowStream, "arrow")
FRAMES = Kind("application/vnd.mql.frames", FrameStream, "frames")

_ALIASES = {"application/ndjson": LINES, "application/jsonl": LINES, "application/json": LINES}


def choose(accept: str, default: Kind) -> Kind:
    """The format that a reader's `Accept` asks for. Raises Refusal if none is to be had."""
    known = {kind.media_type: kind for kind in (EVENTS, LINES, ARROW, FRAMES)} | _ALIASES
    for media_type in _by_quality(accept or "*/*"):
        if media_type in known:
            return known[media_type]
        if media_type == "*/*" or media_type == default.media_type.partition("/")[0] + "/*":
            return default
    offered = ", ".join(kind.media_type for kind in (EVENTS, LINES, ARROW))
    raise refuse(406, f"the answer can be {offered}")


def _by_quality(accept: str) -> Iterable[str]:
    """Media types, the most wanted first.

    >>> list(_by_quality("text/html;q=0.2, text/event-stream"))
    ['text/event-stream', 'text/html']
    """
    wanted = []
    for each in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in each.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            wanted.append((float(quality), media_type))
        except ValueError:
            continue
    return [name for quality, name in sorted(wanted, key=lambda w: -w[0]) if quality > 0]
