"""Server-sent events, as browsers' `EventSource` and anybody with a line reader take them."""

from __future__ import annotations

from source_jobs.api.feeds.events import Beat, Said
from source_jobs.api.formats.data import events_of

_RETRY = b"retry: 1000\n\n"
_BEAT = b": heartbeat\n\n"


class EventStream:
    """`event:`, `id:` where a reader may come again after it, and one line of `data:`."""

    def __init__(self) -> None:
        self._greeted = False

    def write(self, said: Said) -> bytes:
        """The events of it."""
        if isinstance(said, Beat):
            return _BEAT
        parts = [] if self._greeted else [_RETRY]
        self._greeted = True
        for name, number, data in events_of(said):
            identity = b"" if number is None else b"id: %d\n" % number
            parts.append(b"%sevent: %s\ndata: %s\n\n" % (identity, name.encode(), data))
        return b"".join(parts)
