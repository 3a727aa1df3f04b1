"""A client's side of the protocol: bytes, wishes and the time in, actions out.

What is asked stays asked: after each new connection it is asked again, under a new number, and
the subscription is told what it missed. Times are microseconds of a clock that only goes forward.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from mql.wire.codec import ProtocolError, encode, to_clients
from mql.wire.messages import (
    CLIENT_CREDIT_MAX,
    PROTOCOL,
    Alive,
    Answer,
    Answering,
    Ask,
    Cancel,
    Connect,
    Connected,
    Credit,
    Ended,
    Leave,
    Message,
    Rejected,
    Show,
    Shown,
    Unknown,
)
from mql.wire.upstream import FEEDS_MAX, Feed
from source_jobs.client.actions import Action, Closed, Deliver, Reply, Transmit
from source_jobs.client.clock import JobClock
from source_jobs.client.pending_query import Question

CREDIT = CLIENT_CREDIT_MAX
"""Bytes of payload that may be under way or wait to be read."""

ALIVE_US = 1_000_000
RETRY_US = 200_000
GONE_US = 3_000_000
"""After this silence the source job counts as gone."""


class ClientState:
    """All that a client knows of its source job and of what it has asked there.

    `connected` is whether the source job answers, and `linked` whether there is a connection;
    `trouble` is why it may not, in words, and `refused` why it lets nobody in with this key. `job`
    is the source job's random name and `shown` the one for people, `feeds` are the jobs upstream of
    it, and `clock` is what is known of its clock.
    """

    def __init__(self, client: str, user: str, version: str, credit: int = CREDIT) -> None:
        self._hello = Connect(PROTOCOL, client, user, version, credit)
        self._decoder = to_clients()
        self._questions: dict[int, Question] = {}
        self._handles: dict[int, int] = {}
        self._requests: dict[int, Show | Cancel] = {}
        self._number = 0
        self._returned = 0
        self._heard_us = 0
        self._next_us = 0
        self.connected = self.linked = False
        self.job = self.shown = ""
        self.feeds: tuple[Feed, ...] = ()
        self.waiting = 0
        """Queries of this client that the source job has not planned yet."""
        self.clock = JobClock()
        self.trouble = self.refused = ""
        self.bad_frames = 0

    # What the program wants

    def ask(self, subscription: int, ask: Ask, now_us: int) -> list[Action]:
        """Run a query; `subscription` is any number that is not in use."""
        assert subscription not in self._questions
        question = self._questions[subscription] = Question(ask, now_us)
        return [self._ask(subscription, question, now_us)] if self.connected else []

    def leave(self, subscription: int) -> list[Action]:
        """End a subscription."""
        question = self._questions.pop(subscription, None)
        if question is None:
            return []
        left = self._handles.pop(question.request, None) is not None and self.connected
        told: list[Action] = [_transmit(Leave(question.request))] if left else []
        return [*told, *self._give_back(question.held)]

    def show(
        self, what: str, query: str = "", after: str = "", limit: int = 0, *, brief: bool = False
    ) -> tuple[int, list[Action]]:
        """Ask what there is; the number that the reply will have."""
        return self._request(Show(self._new_number(), what, query, after, limit, brief))

    def cancel(self, query: int) -> tuple[int, list[Action]]:
        """End a query for all; the number that the reply will have."""
        return self._request(Cancel(self._new_number(), query))

    def forget(self, request: int) -> None:
        """Nobody waits for a reply any more."""
        self._requests.pop(request, None)

    def consumed(self, subscription: int, size: int) -> list[Action]:
        """A piece with a payload of `size` bytes has been read."""
        question = self._questions.get(subscription)
        if question is None:
            return []
        question.consumed(size)
        return self._give_back(size)

    def close(self) -> list[Action]:
        """End everything."""
        actions = [action for handle in list(self._questions) for action in self._end(handle)]
        actions += [
            Reply(number, Rejected(number, "the client was closed")) for number in self._requests
        ]
        self._requests.clear()
        return actions

    def _end(self, subscription: int) -> list[Action]:
        return [*self.leave(subscription), Deliver(subscription, Closed())]

    # What comes, and what time does

    def receive(self, frames: Sequence[bytes], now_us: int) -> list[Action]:
        """Take a message from the source job. Nothing in it can raise."""
        try:
            message, payload = self._decoder.decode(frames)
        except ProtocolError as error:
            self.bad_frames += 1
            self.trouble = f"what answers there does not speak this protocol: {error}"
            return []
        self._heard_us = now_us
        match message:
            case Connected():
                return self._connected(message, now_us)
            case Unknown():
                return self._begin(now_us)
            case Alive():
                self.clock.add(message.echo_us, message.received_us, message.sent_us, now_us)
                self.feeds, self.waiting = message.feeds[:FEEDS_MAX], message.waiting
                return []
            case Answering() | Answer() | Ended():
                return self._answer(message, payload)
            case Rejected():
                return self._rejected(message)
            case Shown(number, after):
                wanted = self._requests.pop(number, None) is not None
                reply: list[Action] = [Reply(number, payload, after)] if wanted else []
                return [*reply, *self._give_back(len(payload))]

    def tick(self, now_us: int) -> list[Action]:
        """Do what is due."""
        actions = self._over_due(now_us)
        if self.connected and now_us - self._heard_us >= GONE_US:
            self.trouble = self.refused or "the source job does not answer any more"
            return actions + self._begin(now_us)
        if now_us < self._next_us:
            return actions
        if not self.connected:
            return actions + self._begin(now_us)
        self._next_us = now_us + ALIVE_US
        return [*actions, _transmit(Alive(now_us)), *self._grant()]

    def next_wake_us(self) -> int:
        """When `tick` has something to do, at the latest."""
        return self._next_us

    def validate(self) -> None:
        """Check what always holds."""
        for request, handle in self._handles.items():
            assert self._questions[handle].request == request
        assert self.connected or not self._handles
        for question in self._questions.values():
            question.validate(self._hello.credit)
        assert self._returned >= 0

    # The connection

    def _begin(self, now_us: int) -> list[Action]:
        """Say hello; all that had been asked will be asked again."""
        self.connected = False
        self._interrupt()
        self._returned = 0
        self._next_us = now_us + RETRY_US
        hello = self._hello
        credit = max(0, hello.credit - self._held())
        return [_transmit(replace(hello, credit=credit, sent_us=now_us))]

    def _connected(self, message: Connected, now_us: int) -> list[Action]:
        if message.protocol != PROTOCOL:
            self.trouble = f"the source job speaks version {message.protocol} of the protocol"
            return []
        if self.connected and message.job == self.job:
            return []  # the answer to a greeting that was repeated
        if message.job != self.job:
            self.clock.forget()
        self.clock.add(message.echo_us, message.received_us, message.sent_us, now_us)
        self.shown, self.feeds = message.shown or message.job, message.feeds[:FEEDS_MAX]
        self._interrupt()
        self.connected, self.job, self.trouble = True, message.job, ""
        self._next_us = now_us + ALIVE_US
        asked = [self._ask(handle, q, now_us) for handle, q in self._questions.items()]
        return [*asked, *map(_transmit, self._requests.values())]

    def _interrupt(self) -> None:
        self._handles.clear()
        for question in self._questions.values():
            question.interrupted()

    def _ask(self, subscription: int, question: Question, now_us: int) -> Action:
        request = self._new_number()
        self._handles[request] = subscription
        return _transmit(question.asked(request, now_us))

    def _request(self, message: Show | Cancel) -> tuple[int, list[Action]]:
        self._requests[message.request] = message
        return message.request, [_transmit(message)] if self.connected else []

    def _new_number(self) -> int:
        self._number += 1
        return self._number

    # Answers

    def _answer(self, message: Answering | Answer | Ended, payload: bytes) -> list[Action]:
        handle = self._handles.get(message.request)
        if handle is None:
            # Left a moment ago, or of before the connection broke, whose credit is void.
            return self._give_back(len(payload)) if self.connected else []
        question = self._questions[handle]
        match message:
            case Answering():
                return [Deliver(handle, question.started(message))]
            case Answer():
                piece = question.piece(message, payload, self._share())
                if piece is None:
                    return self._give_back(len(payload))
                given_up = len(payload) - len(piece.payload)
                return [Deliver(handle, piece), *self._give_back(given_up)]
            case Ended():
                return self._over(handle, question.ended(message))

    def _over(self, subscription: int, message: Ended | Rejected) -> list[Action]:
        question = self._questions.pop(subscription)
        self._handles.pop(question.request, None)
        return [Deliver(subscription, message), *self._give_back(question.held)]

    def _over_due(self, now_us: int) -> list[Action]:
        """End what had a time to live, where the source job cannot or does not."""
        due = [
            (handle, question)
            for handle, question in self._questions.items()
            if question.is_over(now_us, connected=self.connected)
        ]
        return [
            action
            for handle, question in due
            for action in (
                *([_transmit(Leave(question.request))] if self.connected else []),
                *self._end_here(handle, question),
            )
        ]

    def _end_here(self, subscription: int, question: Question) -> list[Action]:
        *missed, ended = question.end()
        told = [Deliver(subscription, item) for item in missed]
        return [*told, *self._over(subscription, ended)]

    def _rejected(self, message: Rejected) -> list[Action]:
        handle = self._handles.get(message.request)
        if handle is not None:
            return self._over(handle, message)
        if self._requests.pop(message.request, None):
            return [Reply(message.request, message)]
        if not message.request:
            self.trouble = message.reason
        return []

    # Credit

    def _held(self) -> int:
        return sum(question.held for question in self._questions.values())

    def _share(self) -> int:
        """What a subscription may hold while there are others, which must not starve."""
        return self._hello.credit // max(1, len(self._questions))

    def _give_back(self, size: int) -> list[Action]:
        """Grant the bytes anew, many at a time; `tick` does so with the rest."""
        self._returned += size
        return self._grant() if self.connected and self._returned >= self._hello.credit // 8 else []

    def _grant(self) -> list[Action]:
        if not self._returned:
            return []
        granted, self._returned = self._returned, 0
        return [_transmit(Credit(granted))]


def _transmit(message: Message) -> Transmit:
    return Transmit(encode(message))
