"""NDJSON: rows, and lines about the answer itself whose one key begins with `_`."""

from __future__ import annotations

import msgspec

from mql.ledger import Completeness, as_data
from source_jobs.api.feeds.events import Beat, Closing, Lost, Numbered, Opening, Said, gap_data


class LineStream:
    """Rows as `mql query` writes them.

    `_gap` says what is missing there, `_ended` why it ends and what all of it lacks; with `ledger`
    there is a `_ledger` for each window or second. A heartbeat is an empty line.
    """

    def __init__(self, *, ledger: bool = False) -> None:
        self._ledger = ledger

    def write(self, said: Said) -> bytes:
        """The lines of it."""
        match said:
            case Opening(warnings=warnings):
                return b"".join(_line("_warning", each) for each in warnings)
            case Numbered():
                return self._piece(said)
            case Lost():
                return _line("_gap", gap_data(said))
            case Closing(reason, failed, total):
                known = None if total is None else as_data(total)
                return _line("_ended", {"reason": reason, "failed": failed, "completeness": known})
            case Beat():
                return b"\n"

    def _piece(self, said: Numbered) -> bytes:
        window = said.piece.window
        lines = b""
        if window.gap is not None:
            lines += _line("_gap", gap_data(window.gap))
        lines += window.json_lines()
        if self._ledger and window.completeness is not None:
            lines += _ledger(window.completeness)
        return lines


def _ledger(known: Completeness) -> bytes:
    return _line("_ledger", as_data(known))


def _line(key: str, value: object) -> bytes:
    return msgspec.json.encode({key: value}) + b"\n"
