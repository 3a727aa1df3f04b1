"""What is said, as an event's name and its JSON: the same over SSE and over a WebSocket."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from mql.ledger import as_data
from source_jobs.api.feeds.events import Beat, Closing, Lost, Numbered, Opening, Said, gap_data


def events_of(said: Said) -> Iterator[tuple[str, int | None, bytes]]:
    """Each event: its name, its number if a reader can come again after it, its data."""
    match said:
        case Opening():
            yield "started", None, msgspec.json.encode(said)
        case Numbered(number, piece):
            window = piece.window
            if window.gap is not None:
                yield "gap", None, msgspec.json.encode(gap_data(window.gap))
            if window.num_rows or window.completeness is not None or window.closes:
                yield "rows", number, _piece(said)
        case Lost():
            yield "gap", None, msgspec.json.encode(gap_data(said))
        case Closing(reason, failed, total, number):
            known = None if total is None else as_data(total)
            data = {"reason": reason, "failed": failed, "completeness": known}
            yield "ended", number, msgspec.json.encode(data)
        case Beat():
            yield "heartbeat", None, b"{}"


def _piece(said: Numbered) -> bytes:
    window = said.piece.window
    known = None if window.completeness is None else as_data(window.completeness)
    data: dict[str, object] = {
        "rows": msgspec.Raw(said.piece.rows_json),
        "closes": window.closes,
        "start_ms": window.start_ms,
        "end_ms": window.end_ms,
        "completeness": known,
    }
    if window.start_ms is None and window.num_rows:
        data["times_ms"] = window.times_ms()
    return msgspec.json.encode(data)
