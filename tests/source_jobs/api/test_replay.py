"""The replay: whatever comes and goes, a reader gets each piece once, or is told what is gone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from source_jobs.api.feeds.replay import Cursor, Replay
from source_jobs.shares import Room

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 5), st.integers(0, 2)),
        st.tuples(st.just("read"), st.integers(1, 4), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 6), st.integers(1, 40), st.integers(0, 6), st.integers(0, 60))
def test_a_reader_gets_each_piece_once_or_is_told(
    steps: list[tuple[str, int, int]], most_pieces: int, most_bytes: int, most_s: int, free: int
) -> None:
    room = Room(100, used=100 - free)
    replay: Replay[int] = Replay(most_pieces, most_bytes, most_s, room)
    now_s = 0.0
    cursor, got, told_rows, told_pieces, holes = Cursor(), [], 0, 0, 0
    for step, amount, missed in [*steps, ("read", 1_000, 0)]:
        if step == "add":
            now_s += 1
            replay.add(replay.number, 10, amount, now_s, missed=missed)
            holes += missed
            assert len(replay) <= min(most_pieces, most_s + 1)
            assert replay.size <= most_bytes or len(replay) == 1
            assert room.free >= 0 or len(replay) == 1
            assert room.used == 100 - free + replay.size == 100 - free + 10 * len(replay)
            continue
        gap, entries = replay.after(cursor, amount)
        if gap is not None:
            assert gap.rows is not None
            told_rows += gap.rows
            told_pieces += gap.pieces
        got += entries
        if entries:
            cursor = Cursor(entries[-1].number, entries[-1].rows_until)
    numbers = [entry.number for entry in got]
    assert numbers == sorted(set(numbers))
    assert sum(entry.rows for entry in got) + told_rows == replay.rows
    assert len(got) + told_pieces <= replay.number <= len(got) + told_pieces + holes
    replay.clear()
    assert room.used == 100 - free


def test_who_comes_again_with_a_number_alone_is_told_pieces_not_rows() -> None:
    replay: Replay[str] = Replay(2, 1_000, 60, Room(1_000))
    for name in "abcde":
        replay.add(name, 1, 3, 0)
    gap, entries = replay.after(Cursor(1, None), 10)
    assert gap is not None
    assert (gap.pieces, gap.rows, [entry.item for entry in entries]) == (2, None, ["d", "e"])
    assert replay.after(Cursor(5, None), 10) == (None, [])


def test_a_number_of_another_life_begins_anew() -> None:
    replay: Replay[str] = Replay(10, 1_000, 60, Room(1_000))
    replay.add("a", 1, 1, 0)
    gap, entries = replay.after(Cursor(900, None), 10)
    assert (gap, [entry.item for entry in entries]) == (None, ["a"])
