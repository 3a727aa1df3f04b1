"""The client over a socket, against a peer that says what a test wants."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa
import pytest
import zmq

from mql.errors import QueryError
from mql.ledger import Completeness
from mql.wire import messages as m
from mql.wire.codec import encode, from_clients
from mql.wire.payload import write_batch
from source_jobs.client import Client, SourceJobError, connect
from source_jobs.client.actions import Gap

pytestmark = pytest.mark.timeout(30)
LIMIT_S = 5.0


class FakeJob:
    """A ROUTER in a thread: says hello, and does with the rest what `reply` says."""

    def __init__(self, address: str = "tcp://127.0.0.1:*", name: str = "j1") -> None:
        self.heard: list[m.Message] = []
        self.reply: Callable[[FakeJob, bytes, m.Message], None] = answer_rows
        self.name = name
        self._known: set[bytes] = set()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self._socket.bind(address)
        self.address = self._socket.last_endpoint.decode().rstrip("\0")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def send(self, peer: bytes, message: m.Message, payload: bytes | None = None) -> None:
        self._socket.send_multipart([peer, *encode(message, payload)])

    def kinds(self) -> list[str]:
        return [type(each).__name__ for each in self.heard]

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._socket.poll(10):
                peer, *frames = self._socket.recv_multipart()
                message, _ = from_clients().decode(frames)
                self._take(peer, message)
        self._socket.close()
        self._context.term()

    def _take(self, peer: bytes, message: m.Message) -> None:
        self.heard.append(message)
        match message:
            case m.Connect():
                self._known.add(peer)
                self.send(peer, m.Connected(1, self.name, "1"))
            case _ if peer not in self._known:
                self.send(peer, m.Unknown())
            case m.Alive():
                self.send(peer, m.Alive())
            case _:
                self.reply(self, peer, message)


def rows(*values: int) -> bytes:
    return write_batch(pa.record_batch({"a": pa.array(values, pa.int64())})).to_pybytes()


def answer_rows(job: FakeJob, peer: bytes, message: m.Message) -> None:
    """Two pieces, and what is known of them."""
    if isinstance(message, m.Ask):
        known = Completeness(0, 1000, expected=1, reported=1)
        job.send(peer, m.Answering(message.request, 7, 500, ("careful",)))
        job.send(peer, m.Answer(message.request, 1, closes=False), rows(1, 2))
        job.send(peer, m.Answer(message.request, 2, closes=False), rows(3))
        job.send(peer, m.Answer(message.request, 3, False, 0, 1000, known))


def then_end(job: FakeJob, peer: bytes, message: m.Message) -> None:
    answer_rows(job, peer, message)
    if isinstance(message, m.Ask):
        total = Completeness(0, 1000, expected=1, reported=1)
        job.send(peer, m.Ended(message.request, "limit", failed=False, total=total))


@pytest.fixture
def job() -> Iterator[FakeJob]:
    job = FakeJob()
    yield job
    job.close()


@contextmanager
def connected(job: FakeJob) -> Iterator[Client]:
    with connect(job.address) as client:
        yield client


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.005)


def test_an_answer_is_an_iterator_that_ends(job: FakeJob) -> None:
    job.reply = then_end
    with connected(job) as client, client.subscribe("select a from s") as answer:
        assert (answer.query_id, answer.warnings) == (7, ("careful",))
        windows = list(answer)
        assert [row["a"] for window in windows for row in window.rows()] == [1, 2, 3]
        assert [window.completeness is not None for window in windows] == [False, False, True]
        assert windows[0].table.to_pydict() == {"a": [1, 2]}
        assert windows[0].json_lines() == b'{"a":1}\n{"a":2}\n'
        assert answer.ended == "limit"
        assert answer.total is not None
        assert list(answer) == []


def test_an_answer_is_an_async_iterator_too(job: FakeJob) -> None:
    job.reply = then_end

    async def read(client: Client) -> list[int]:
        answer = await asyncio.to_thread(client.subscribe, "select a from s")
        return [row["a"] async for window in answer for row in window.rows()]  # type: ignore[misc]

    async def both() -> list[list[int]]:
        with connected(job) as client:
            return await asyncio.gather(read(client), read(client))

    assert asyncio.run(both()) == [[1, 2, 3]] * 2


def test_waiting_does_not_hold_up_the_event_loop(job: FakeJob) -> None:
    async def ticks() -> int:
        count = 0
        with connected(job) as client:
            answer = await asyncio.to_thread(client.subscribe, "select a from s")

            async def read() -> None:
                async for _ in answer:
                    pass

            task = asyncio.create_task(read())
            for _ in range(20):
                await asyncio.sleep(0.01)
                count += 1
            answer.close()
            await asyncio.wait_for(task, LIMIT_S)
        return count

    assert asyncio.run(ticks()) == 20


def test_several_answers_at_once(job: FakeJob) -> None:
    job.reply = then_end
    with connected(job) as client:
        answers = [client.subscribe("select a from s") for _ in range(5)]
        for answer in answers:
            assert sum(window.num_rows for window in answer) == 3
    assert job.kinds().count("Connect") == 1


def test_leaving_an_answer_tells_the_source_job(job: FakeJob) -> None:
    with connected(job) as client:
        with client.subscribe("select a from s") as answer:
            next(iter(answer))
        until(lambda: "Leave" in job.kinds())
        list(answer)  # what had come can still be read
        assert answer.ended == "closed"
    with connected(job) as client:
        client.subscribe("select a from s")
    until(lambda: job.kinds().count("Leave") == 2)


def test_a_wrong_query_is_refused_before_anything_is_sent(job: FakeJob) -> None:
    with connected(job) as client:
        with pytest.raises(QueryError, match="window"):
            client.subscribe("select count(*) from s")
        assert "Ask" not in job.kinds()


def test_the_streams_are_asked_for_where_a_query_names_none(job: FakeJob) -> None:
    def show(job: FakeJob, peer: bytes, message: m.Message) -> None:
        assert isinstance(message, m.Show)
        names = ("c", "d e") if message.after else ("a", "b")
        listed = json.dumps([{"stream": name} for name in names]).encode()
        job.send(peer, m.Shown(message.request, "" if message.after else "b"), listed)

    job.reply = show
    with connected(job) as client:
        with pytest.raises(QueryError, match="has no `from`") as wrong:
            client.subscribe("select x")
        assert wrong.value.hint == "add `from` and one of a, b, c, 'd e'"
        assert "Ask" not in job.kinds()
        asked = [(e.what, e.brief) for e in job.heard if isinstance(e, m.Show)]
        assert asked == [("streams", True)] * 2


def test_where_no_source_job_names_its_streams_it_says_so(job: FakeJob) -> None:
    job.reply = lambda *_: None
    with connected(job) as silent, connect("tcp://127.0.0.1:9", timeout_s=None) as away:
        for client in (silent, away):
            with pytest.raises(QueryError, match="no source job has told which there are"):
                client.subscribe("select x")


def test_a_refusal_by_the_source_job_is_an_error_with_its_place(job: FakeJob) -> None:
    def refuse(job: FakeJob, peer: bytes, message: m.Message) -> None:
        assert isinstance(message, m.Ask)
        job.send(
            peer,
            m.Rejected(message.request, "no such thing", 1, 8, 7, 8, "try `b`", is_query=True),
        )

    job.reply = refuse
    with connected(job) as client, pytest.raises(QueryError) as raised:
        client.subscribe("select a from s")
    assert str(raised.value).splitlines()[1:] == [
        "  select a from s",
        "         ^",
        "hint: try `b`",
    ]


def test_a_query_that_fails_later_raises_when_that_is_read(job: FakeJob) -> None:
    def fail(job: FakeJob, peer: bytes, message: m.Message) -> None:
        if isinstance(message, m.Ask):
            answer_rows(job, peer, message)
            total = Completeness(0, 0)
            job.send(peer, m.Ended(message.request, "sort: too much", failed=True, total=total))

    job.reply = fail
    with connected(job) as client:
        answer = client.subscribe("select a from s")
        assert next(iter(answer)).num_rows == 2
        with pytest.raises(SourceJobError, match="sort: too much"):
            list(answer)


@pytest.mark.alone
def test_nobody_there_is_said_within_two_seconds() -> None:
    free = FakeJob()
    free.close()
    began = time.monotonic()
    with pytest.raises(SourceJobError, match=r"no source job at tcp.*nothing answers"):
        connect(free.address)
    assert time.monotonic() - began < 2.5


def test_another_version_is_said() -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.bind("tcp://127.0.0.1:*")
        address = socket.last_endpoint.decode()
        client = connect(address, timeout_s=None)
        peer, _ = socket.recv_multipart()
        socket.send_multipart([peer, b"\x02whatever"])
        with client, pytest.raises(SourceJobError, match="version 02; this is version 1"):
            client.wait_connected(0.5)


@pytest.mark.parametrize("address", ["nowhere", "tcp://127.0.0.1", "tcp://127.0.0.1:port"])
def test_what_is_no_address_is_a_value_error(address: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        connect(address)


def test_a_source_job_that_restarts_is_asked_again_and_the_gap_is_told() -> None:
    job = FakeJob()
    with connect(job.address) as client, client.subscribe("select a from s") as answer:
        assert answer.get(LIMIT_S) is not None
        until(lambda: answer.get(0.1) is None)
        job.close()
        again = FakeJob(job.address, name="j2")
        try:
            window = answer.get(LIMIT_S)
            assert window is not None
            assert window.gap == Gap(1000, 1000)
            assert [row["a"] for row in (answer.get(LIMIT_S) or window).rows()] == [1, 2]
        finally:
            again.close()


def test_a_question_waits_for_a_source_job_that_is_not_there_yet() -> None:
    free = FakeJob()
    free.close()
    with connect(free.address, timeout_s=None) as client:
        answer = client.subscribe("select a from s", timeout_s=None)
        assert answer.get(0.1) is None
        job = FakeJob(free.address)
        try:
            window = answer.get(LIMIT_S)
            assert window is not None
            assert window.num_rows == 2
            assert window.gap is None
        finally:
            job.close()


def test_a_piece_that_cannot_be_read_is_a_gap_and_the_next_one_is_read(job: FakeJob) -> None:
    def garble(job: FakeJob, peer: bytes, message: m.Message) -> None:
        if isinstance(message, m.Ask):
            job.send(peer, m.Answering(message.request, 7, 500))
            wrong = write_batch(pa.record_batch({"b": pa.array([1])})).to_pybytes()
            for sequence, payload in enumerate((b"garbage", wrong, rows(5)), 1):
                job.send(peer, m.Answer(message.request, sequence, closes=False), payload)

    job.reply = garble
    with connected(job) as client, client.subscribe("select a from s") as answer:
        first, second, third = (answer.get(LIMIT_S) for _ in range(3))
        assert first is not None
        assert second is not None
        assert third is not None
        assert (first.gap, second.gap) == (Gap(None, None, 1), Gap(None, None, 1))
        assert third.rows() == [{"a": 5}]


def test_closing_the_client_ends_those_who_wait(job: FakeJob) -> None:
    client = connect(job.address)
    answer = client.subscribe("select a from s")
    ended = threading.Event()

    def read() -> None:
        list(answer)
        ended.set()

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(0.05)
    client.close()
    assert ended.wait(LIMIT_S)
    thread.join()
    with pytest.raises(SourceJobError, match="closed"):
        client.agents()
