"""What a reader of an answer is told, before it becomes bytes of one format or another."""

from __future__ import annotations

from dataclasses import dataclass, field

from mql.ledger import Completeness
from mql.values.json_values import write_json
from source_jobs.api.planning.answer_columns import Column
from source_jobs.client.actions import Gap
from source_jobs.client.window import LiveWindow


@dataclass(frozen=True, slots=True)
class Opening:
    """The answer begins: its id here, its number at the source job, and what is known of it."""

    id: str
    query: int
    text: str
    start_ms: int
    warnings: tuple[str, ...]
    columns: tuple[Column, ...]
    windowed: bool


@dataclass(slots=True)
class Piece:
    """Some rows, a window, or a second's completeness. Its JSON is made once for all readers."""

    window: LiveWindow
    _rows: bytes | None = field(default=None, repr=False)

    @property
    def rows_json(self) -> bytes:
        """The rows, as they are in NDJSON, as one JSON list without a line break."""
        if self._rows is None:
            self._rows = rows_json(self.window)
        return self._rows


@dataclass(frozen=True, slots=True)
class Numbered:
    """A piece and its number, by which a reader can come again."""

    number: int
    piece: Piece


@dataclass(frozen=True, slots=True)
class Lost:
    """What this reader will not get: it was too slow, or came again too late."""

    pieces: int
    rows: int | None


@dataclass(frozen=True, slots=True)
class Closing:
    """The answer is over, and why. `total` is what all of it lacks, where that is known.

    `number` follows that of the last piece: who has read up to it has read all.
    """

    reason: str
    failed: bool
    total: Completeness | None
    number: int


@dataclass(frozen=True, slots=True)
class Beat:
    """Nothing to say, but still here."""


Said = Opening | Numbered | Lost | Closing | Beat


def rows_json(window: LiveWindow) -> bytes:
    """A window's rows as a JSON list on one line."""
    if not window.num_rows:
        return b"[]"
    lines = window.json_lines()
    if lines.count(b"\n") != window.num_rows or b"\r" in lines:  # white space inside an event
        lines = "".join(f"{write_json(row)}\n" for row in window.rows()).encode()
    return b"[" + lines.rstrip(b"\n").replace(b"\n", b",") + b"]"


def gap_data(gap: Gap | Lost) -> dict[str, object]:
    """A gap as data; what is not known is null."""
    match gap:
        case Gap(from_ms, to_ms, pieces):
            return {"from_ms": from_ms, "to_ms": to_ms, "pieces": pieces, "rows": None}
        case Lost(pieces, rows):
            return {"from_ms": None, "to_ms": None, "pieces": pieces, "rows": rows}
