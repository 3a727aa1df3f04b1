"""The server's clients: what takes a while to close or open holds up nobody who gives one back."""

from __future__ import annotations

import threading
import time

import pytest

from source_jobs.api.errors import Refusal
from source_jobs.api.feeds.clients import Clients
from source_jobs.client import Client

WHILE_S = 2.0


class Slow:
    """A client that is closed, and opened, when the test lets it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.may_close = threading.Event()
        self.is_closing = threading.Event()

    def close(self) -> None:
        self.is_closing.set()
        assert self.may_close.wait(10)


def clients(most: int) -> tuple[Clients, list[Slow]]:
    made: list[Slow] = []

    def make(name: str) -> Client:
        made.append(Slow(name))
        return made[-1]  # type: ignore[return-value]

    return Clients(make, most), made


def test_giving_back_never_waits_for_one_that_closes() -> None:
    held, made = clients(2)
    held.take("ada")
    held.take("bob")
    held.give_back("ada")
    thread = threading.Thread(target=held.take, args=("eve",))
    thread.start()
    assert made[0].is_closing.wait(5)  # to make room
    began_s = time.monotonic()
    held.take("bob")
    held.give_back("bob")
    held.give_back("bob")
    assert time.monotonic() - began_s < WHILE_S
    assert len(made) == 2
    made[0].may_close.set()
    thread.join(10)
    assert [each.name for each in made] == ["ada via http", "bob via http", "eve via http"]
    closing = threading.Thread(target=held.close)
    closing.start()
    assert all(each.is_closing.wait(5) for each in made[1:])  # all at once
    held.give_back("eve")
    for each in made:
        each.may_close.set()
    closing.join(10)


def test_who_is_busy_keeps_a_client_and_each_caller_has_one() -> None:
    held, made = clients(2)
    with_both = [threading.Thread(target=held.take, args=("ada",)) for _ in range(20)]
    for each in with_both:
        each.start()
    for each in with_both:
        each.join()
    held.take("bob")
    assert len(made) == 2
    with pytest.raises(Refusal, match="2 callers have queries running"):
        held.take("eve")
