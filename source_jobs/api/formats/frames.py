"""The protocol's own messages, for Python programs that cannot reach ZeroMQ.

Each is two lengths (unsigned, 32 bits, little-endian), then the message and its payload as
docs/protocol.md has them: `answering`, `answer`, `ended`, and `alive` as a heartbeat. An answer's
`sequence` is the number by which a reader comes again, and a hole in it is a gap.
"""

from __future__ import annotations

from struct import Struct

from mql.ledger import Completeness
from mql.wire.codec import encode
from mql.wire.messages import Alive, Answer, Answering, Ended, Message
from mql.wire.payload import write_batch
from source_jobs.api.feeds.events import Beat, Closing, Lost, Numbered, Opening, Said

LENGTHS = Struct("<II")
_REQUEST = 1


class FrameStream:
    """Messages of one answer, as request 1."""

    def __init__(self) -> None:
        self._query = 0

    def write(self, said: Said) -> bytes:
        """The message of it; of a gap in the numbers none is needed."""
        match said:
            case Opening():
                self._query = said.query
                return _frame(Answering(_REQUEST, said.query, said.start_ms, said.warnings))
            case Numbered():
                return self._piece(said)
            case Lost():
                return b""
            case Closing(reason, failed, total):
                total = total or Completeness(0, 0, partial=True)
                return _frame(Ended(_REQUEST, reason, failed, total))
            case Beat():
                return _frame(Alive())

    def _piece(self, said: Numbered) -> bytes:
        window = said.piece.window
        frame = b""
        if window.gap is not None and window.gap.to_ms is not None:
            # The query runs again, from then on.
            frame = _frame(Answering(_REQUEST, self._query, window.gap.to_ms))
        batch = window.batch
        answer = Answer(
            _REQUEST,
            said.number,
            window.closes,
            window.start_ms,
            window.end_ms,
            window.completeness,
            window.wait_ms,
        )
        payload = b"" if batch is None else write_batch(batch).to_pybytes()
        return frame + _frame(answer, payload)


def _frame(message: Message, payload: bytes = b"") -> bytes:
    (header,) = encode(message)
    return LENGTHS.pack(len(header), len(payload)) + header + payload
