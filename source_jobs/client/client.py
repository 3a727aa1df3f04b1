"""Asking a source job from a program: `connect(address).subscribe(query)`.

A client has one connection and one background thread, reconnects by itself, and may be used from
any number of threads.
"""

from __future__ import annotations

import atexit
import getpass
import itertools
import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast

import mql
from mql.host.native_threads import make_lock
from mql.layout import RowLayout
from mql.wire.messages import Ask, Ended, Rejected
from mql.wire.upstream import Feed
from source_jobs.client.actions import Action, AwayError, Closed, Deliver, Reply, SourceJobError
from source_jobs.client.client_state import ClientState
from source_jobs.client.clock import JobClock
from source_jobs.client.http.client import HttpClient
from source_jobs.client.http.requests import make_calls
from source_jobs.client.link import Link
from source_jobs.client.live_layout import live_layout
from source_jobs.client.mailbox import Mailbox
from source_jobs.client.paging import Records, all_pages
from source_jobs.client.subscription import Subscription, error_of
from source_jobs.security.keys import load_pair, load_public

DEFAULT_ADDRESS = "tcp://127.0.0.1:7767"
TIMEOUT_S = 2.0
_AnyClient = TypeVar("_AnyClient", "Client", HttpClient)


def connect(
    address: str = DEFAULT_ADDRESS,
    *,
    key: str | Path | None = None,
    server_key: str | Path | None = None,
    timeout_s: float | None = TIMEOUT_S,
    user: str | None = None,
    token: str | None = None,
    ca: str | Path | None = None,
) -> Client | HttpClient:
    """Connect to a source job, at a `tcp://` address or at its `http://` or `https://` one.

    Over HTTP `token` lets us in (left out: `MQL_TOKEN`), and `ca` is a file of certificates to
    trust besides the system's. Else `key` is the file of this client's secret key and `server_key`
    that of the source job's public one, or the key itself; give both or none. `user` is shown to
    others, and is who runs this if left out. Waits `timeout_s` for the source job and raises
    SourceJobError if it is not there; with None it does not wait, and what is asked will be asked
    when it comes.
    Raises ValueError if the address or a key is none.
    """
    if address.startswith(("http://", "https://")):
        calls = make_calls(address, token or os.environ.get("MQL_TOKEN"), ca)
        return _wait(HttpClient(calls), timeout_s)
    if (key is None) != (server_key is None):
        raise ValueError("with CURVE both are needed: key, and server_key of the source job")
    keys = None if key is None or server_key is None else (load_pair(key), load_public(server_key))
    state = ClientState(secrets.token_hex(8), user or _user(), mql.__version__)
    client = Client(address, state, lambda deliver: Link(address, state, deliver, keys))
    return _wait(client, timeout_s)


def _wait(client: _AnyClient, timeout_s: float | None) -> _AnyClient:
    """The client, once it is connected. Raises SourceJobError, and closes it, if it never is."""
    if timeout_s is not None:
        try:
            client.wait_connected(timeout_s)
        except BaseException:
            client.close()
            raise
    return client


class Client:
    """A connection to a source job; made by `connect`. Close it, or use it in a `with` block."""

    def __init__(
        self,
        address: str,
        state: ClientState,
        link: Callable[[Callable[[Deliver | Reply], None]], Link],
    ) -> None:
        self.address = address
        self._state = state
        self._subscriptions: dict[int, Subscription] = {}
        self._replies: dict[int, Mailbox[Reply]] = {}
        self._numbers = itertools.count(1)
        self._closed = False
        self._lock = make_lock()
        self._link = link(self._deliver)
        atexit.register(self.close)

    @property
    def connected(self) -> bool:
        """Whether the source job answers at this moment."""
        return self._state.connected

    @property
    def reachable(self) -> bool:
        """Whether it also has a connection at this moment."""
        return self._state.connected and self._state.linked

    @property
    def refused(self) -> str:
        """Why the source job does not let us in with our key, in words; empty where it does."""
        return self._state.refused

    @property
    def job(self) -> str:
        """The random name of the source job that answered last."""
        return self._state.job

    @property
    def shown(self) -> str:
        """What people know that source job by."""
        return self._state.shown

    @property
    def feeds(self) -> tuple[Feed, ...]:
        """The source jobs upstream of it."""
        return self._state.feeds

    @property
    def clock(self) -> JobClock:
        """What is known of its clock."""
        return self._state.clock

    def wait_connected(self, timeout_s: float = TIMEOUT_S) -> None:
        """Wait for the source job. Raises AwayError if it does not answer in time."""
        end = time.monotonic() + timeout_s
        while not self._state.connected:
            if time.monotonic() >= end:
                reason = self._state.trouble or "nothing answers there"
                raise AwayError(f"no source job at {self.address}: {reason}")
            time.sleep(0.002)

    def subscribe(
        self,
        query: str,
        *,
        time: str | None = None,
        lateness_ms: int = 0,
        group: str | None = None,
        ttl_ms: int | None = None,
        timeout_s: float | None = TIMEOUT_S,
        layout: RowLayout | None = None,
        knows: Sequence[str] = (),
    ) -> Subscription:
        """Run a query until it is closed, or for `ttl_ms`.

        `time` is the property that holds an event's time (left out: the time of publishing) and
        `lateness_ms` how late events may come then. Subscribers that name the same `group` share
        the rows among them. Waits `timeout_s` until the query runs (with None not at all: errors
        of the source job are then raised by the first read). In an event loop use
        `await asyncio.to_thread(client.subscribe, query)`. `layout` is that of the query's plan,
        for those who have planned it already, and `knows` are patterns of the streams whose names
        warnings may tell, for those who ask for others.

        Raises QueryError if the query is wrong, SourceJobError if it is refused.
        """
        self._check_open()
        layout = layout or live_layout(query, None if timeout_s is None else self)
        number = next(self._numbers)
        ask = Ask(
            0,
            query,
            time=time or "",
            lateness_ms=lateness_ms,
            group=group or "",
            ttl_ms=ttl_ms or 0,
            knows=tuple(knows),
        )
        subscription = Subscription(
            query,
            layout,
            consumed=lambda size: self._post(lambda _: self._state.consumed(number, size)),
            leave=lambda: self._leave(number),
        )
        self._subscriptions[number] = subscription
        self._post(lambda now_us: self._state.ask(number, ask, now_us))
        if timeout_s is not None:
            self._wait_started(subscription, timeout_s)
        return subscription

    def agents(self) -> Records:
        """The agents that the source job knows."""
        return all_pages(lambda after: self.page("agents", after))

    def queries(self) -> Records:
        """The queries that run."""
        return all_pages(lambda after: self.page("queries", after))

    def streams(self) -> Records:
        """The streams that agents offer, with the fields seen in them."""
        return all_pages(lambda after: self.page("streams", after))

    def page(
        self, what: str, after: str = "", limit: int = 0, *, brief: bool = False
    ) -> tuple[Records, str]:
        """Some `agents`, `queries` or `streams`, and the `after` of those that follow.

        That is empty where none do. There are at most `limit` unless that is 0, and less of each
        where it is to be `brief`.
        """
        reply = self._call(lambda: self._state.show(what, "", after, limit, brief=brief), "")
        return cast("Records", json.loads(_body(reply))), reply.after

    def metrics(self) -> dict[str, object]:
        """Sums over all queries that the source job has run: events, rows, drops, cost."""
        return cast("dict[str, object]", self._show("metrics"))

    def explain(self, query: str) -> dict[str, object]:
        """What becomes of a query, and what each agent does with it. Raises QueryError."""
        return cast("dict[str, object]", self._show("explain", query))

    def cancel(self, query_id: int) -> None:
        """End a query for all who asked it. Raises SourceJobError if there is none."""
        self._call(lambda: self._state.cancel(query_id), "")

    def close(self) -> None:
        """End all subscriptions and the connection."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        atexit.unregister(self.close)
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise SourceJobError("the client was closed")

    def _post(self, command: Callable[[int], list[Action]]) -> None:
        if not self._closed:
            self._link.post(command)

    def _leave(self, number: int) -> None:
        self._subscriptions.pop(number, None)
        self._post(lambda _: self._state.leave(number))

    def _wait_started(self, subscription: Subscription, timeout_s: float) -> None:
        try:
            subscription.wait_started(timeout_s)
        except TimeoutError:
            subscription.close()
            did = f"did not answer{self._why_not()}"
            raise AwayError(f"the source job at {self.address} {did}") from None
        except BaseException:
            subscription.close()
            raise

    def _why_not(self) -> str:
        waiting = self._state.waiting
        return f": {waiting:,} new queries of this client wait for their turn" if waiting else ""

    def _show(self, what: str, query: str = "") -> object:
        return json.loads(_body(self._call(lambda: self._state.show(what, query), query)))

    def _call(self, request: Callable[[], tuple[int, list[Action]]], text: str) -> Reply:
        """Send a request and wait for its reply. Raises SourceJobError and QueryError."""
        self._check_open()
        mailbox: Mailbox[Reply] = Mailbox()
        made: list[int] = []

        def send(_now_us: int) -> list[Action]:
            number, actions = request()
            made.append(number)
            self._replies[number] = mailbox
            return actions

        self._post(send)
        try:
            reply = mailbox.get(TIMEOUT_S)
        except TimeoutError:
            reason = self._state.trouble or "no answer came in time"
            raise AwayError(f"no source job at {self.address}: {reason}") from None
        finally:
            self._post(lambda _: self._forget(made))
        if isinstance(reply.result, Rejected):
            raise error_of(reply.result, text)
        return reply

    def _forget(self, numbers: list[int]) -> list[Action]:
        for number in numbers:
            self._replies.pop(number, None)
            self._state.forget(number)
        return []

    def _deliver(self, item: Deliver | Reply) -> None:
        """Pass on what has come; runs in the link's thread."""
        match item:
            case Deliver(number, thing):
                subscription = self._subscriptions.get(number)
                if subscription is not None:
                    subscription.deliver(thing)
                if isinstance(thing, Rejected | Ended | Closed):
                    self._subscriptions.pop(number, None)
            case Reply(request):
                mailbox = self._replies.get(request)
                if mailbox is not None:
                    mailbox.put(item)


def _body(reply: Reply) -> bytes:
    return reply.result or b"null" if isinstance(reply.result, bytes) else b"null"


def _user() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return f"{name}@{socket.gethostname()}"
