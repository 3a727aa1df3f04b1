"""An answer is made of pieces that take short to write, and between them others have their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from types import SimpleNamespace
from typing import cast

import pyarrow as pa
import pytest

from mql.language.parser import parse
from mql.layout import layout_of
from mql.planner.plan import plan
from mql.wire.messages import Answer
from source_jobs.api import streaming
from source_jobs.api.feeds.events import Numbered, Piece, Said
from source_jobs.api.feeds.replay import Cursor
from source_jobs.api.formats import ARROW, EVENTS, LINES, Kind
from source_jobs.api.streaming import Reading, body_of, serve_socket
from source_jobs.client.window import LiveWindow
from source_jobs.query.answer_pieces import cut

PIECES = 30


@pytest.mark.parametrize(
    "columns",
    [
        {f"c{number}": pa.nulls(50_000) for number in range(100)},
        {"c" * 60_000: pa.nulls(5_000, pa.bool_())},
        {"c": pa.array([[None] * 100] * 5_000, pa.list_(pa.null()))},
    ],
)
def test_pieces_are_as_small_as_rows_as_they_are_as_columns(columns: dict[str, pa.Array]) -> None:
    """Nulls take no bytes, and names of columns one time: half a megabyte took 4 s to write."""
    batch = pa.record_batch(columns)
    pieces = cut(batch)
    assert sum(piece.num_rows for piece in pieces) == batch.num_rows
    for piece in pieces:
        assert piece.num_rows * piece.num_columns <= 1 << 16
        assert len(str(piece.slice(0, 1).to_pylist()[0])) * piece.num_rows < 4 << 20


def a_piece(number: int) -> Numbered:
    layout = layout_of(plan(parse("select a from s"), live=True).steps)
    batch = pa.record_batch({"*time": pa.array([1] * 10, pa.int64()), "a": pa.nulls(10)})
    return Numbered(number, Piece(LiveWindow(layout, batch, Answer(1, number, False))))


class Kept:
    """A feed that has a great many pieces for whoever reads."""

    once = False

    async def read(self, _cursor: Cursor, _caller: object) -> AsyncGenerator[Sequence[Said]]:
        yield [a_piece(number) for number in range(1, PIECES + 1)]


def reading() -> Reading:
    metrics = SimpleNamespace(sent=SimpleNamespace(labels=lambda _: SimpleNamespace(inc=id)))
    metrics.lost = SimpleNamespace(inc=id)
    return Reading(Kept(), SimpleNamespace(name=""), "", "", metrics)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def unaudited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "audit_reading", lambda *_: None)


async def turns_while(work: asyncio.Task[None]) -> int:
    """How often the event loop comes to others before something is done."""
    turns = 0
    while not work.done():
        turns += 1
        await asyncio.sleep(0)
    await work
    return turns


@pytest.mark.parametrize("kind", [EVENTS, LINES, ARROW])
def test_others_have_their_turn_between_the_pieces_of_an_answer(kind: Kind) -> None:
    """A reader who came again was written up to 64 pieces in one go."""

    async def read() -> None:
        async for _ in body_of(reading(), Cursor(), kind):
            pass

    async def main() -> int:
        return await turns_while(asyncio.create_task(read()))

    assert asyncio.run(main()) >= PIECES


def test_others_have_their_turn_between_the_messages_of_a_web_socket() -> None:
    sent: list[str] = []

    async def send_text(text: str) -> None:
        sent.append(text)

    async def close() -> None:
        pass

    socket = cast("object", SimpleNamespace(send_text=send_text, close=close))

    async def main() -> int:
        serving = serve_socket(socket, reading(), Cursor())  # type: ignore[arg-type]
        return await turns_while(asyncio.create_task(serving))

    assert asyncio.run(main()) >= PIECES
    assert len(sent) == PIECES
