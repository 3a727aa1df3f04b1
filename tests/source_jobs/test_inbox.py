"""Whose message is taken next, and what is left out where one key sends more than others leave."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from source_jobs.inbox import Inbox, Letter
from source_jobs.shares import Shares

BAD, GOOD = b"bad key", b"good key"


def inbox(limit: int = 1 << 20) -> tuple[Inbox, list[bytes]]:
    """An inbox, and the connections that it ends."""
    cut: list[bytes] = []
    return Inbox(cut.append, _room=Shares(limit)), cut


def taken(made: Inbox) -> Iterator[tuple[bytes, bytes]]:
    while (letter := made.take()) is not None:
        made.validate()
        yield letter.peer, bytes(letter.frames[0])


def test_keys_have_their_turn_and_of_each_its_connections() -> None:
    made, _ = inbox()
    for number in range(3):
        for peer in (b"1", b"2"):
            made.put(Letter.of(peer, [b"%d" % number], BAD), 0)
    made.put(Letter.of(b"3", [b"0"], GOOD), 0)
    made.put(Letter.of(b"3", [b"1"], GOOD), 0)
    assert b" ".join(peer for peer, _ in taken(made)) == b"1 3 2 3 1 2 1 2"
    assert not made


def test_without_keys_each_connection_has_its_turn_and_its_messages_stay_in_order() -> None:
    made, cut = inbox(10_000)
    for number in range(3):
        made.put(Letter.of(b"1", [b"%d" % number, bytes(3_000)]), 0)
    made.put(Letter.of(b"2", [b"0"]), 0)
    assert made.is_full
    assert list(taken(made)) == [(b"1", b"0"), (b"2", b"0"), (b"1", b"1"), (b"1", b"2")]
    assert not made.is_full
    assert not cut, "there is nothing to tell them by"


def test_a_key_that_sends_more_than_is_free_loses_its_fullest_connection() -> None:
    made, cut = inbox(100_000)
    made.put(Letter.of(b"good", [b""], GOOD), 0)
    for number in range(20):
        made.put(Letter.of(b"small", [bytes(10)], BAD), number)
        made.put(Letter.of(b"large", [bytes(5_000)], BAD), number)
    assert set(cut) == {b"large"}
    assert made.cut_off == len(cut) > 1
    made.validate()
    peers = [peer for peer, _ in taken(made)]
    assert peers.count(b"small") == 20
    assert peers.count(b"good") == 1
    assert b"large" in peers, "there is room for some of it"


def test_a_key_that_is_alone_has_all_the_room_and_what_does_not_fit_stays_where_it_is() -> None:
    made, cut = inbox(100_000)
    made.put(Letter.of(b"good", [b""], GOOD), 0)
    assert made.take() is not None
    while not made.is_full:
        made.put(Letter.of(b"1", [bytes(5_000)], BAD), 5_000_000)
    assert not cut
    made.put(Letter.of(b"good", [b""], GOOD), 5_000_001)
    assert cut == [b"1"]
    assert list(taken(made)) == [(b"good", b"")]


def test_what_came_by_a_key_that_is_revoked_is_left_out() -> None:
    made, cut = inbox()
    for key in (BAD, GOOD):
        made.put(Letter.of(b"of " + key, [b"0"], key), 0)
    made.keep({GOOD})
    assert list(taken(made)) == [(b"of " + GOOD, b"0")]
    assert not cut, "whoever revokes it does that"


def test_nothing_is_lost_or_counted_wrong_whatever_comes() -> None:
    dice = Random(1)  # noqa: S311 - the same each time
    for _ in range(50):
        made, cut = inbox(dice.choice([2_000, 20_000, 1 << 20]))
        put, got = 0, 0
        for now_us in range(300):
            key = dice.choice([b"", BAD, GOOD, b"third key"])
            peer = key + b"%d" % dice.randrange(3)
            made.put(Letter.of(peer, [bytes(dice.choice([0, 10, 1_500]))], key), now_us)
            put += 1
            for _ in range(dice.randrange(3)):
                got += made.take() is not None
            made.validate()
        got += len(list(taken(made)))
        assert made._room.used == 0
        assert got == put or cut
