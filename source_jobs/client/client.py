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
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast

import mql
from mql.layout import layout_of
from mql.native_threads import make_lock
from mql.planner.plan import plan
from mql.wire.messages import Ask, Ended, Rejected
from source_jobs.client.http_calls import make_calls
from source_jobs.client.http_client import HttpClient
from source_jobs.client.items import Action, Closed, Deliver, Reply, SourceJobError
from source_jobs.client.link import Link
from source_jobs.client.mailbox import Mailbox
from source_jobs.client.state import ClientState
from source_jobs.client.subscription import Subscription, error_of
from source_jobs.keys import load_pair, load_public

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
        self._replies: dict[int, Mailbox[bytes | Rejected]] = {}
        self._numbers = itertools.count(1)
        self._closed = False
        self._lock = make_lock()
        self._link = link(self._deliver)
        atexit.register(self.close)

    @property
    def connected(self) -> bool:
        """Whether the source job answers at this moment."""
        return self._state.connected

    def wait_connected(self, timeout_s: float = TIMEOUT_S) -> None:
        """Wait for the source job. Raises SourceJobError if it does not answer in time."""
        end = time.monotonic() + timeout_s
        while not self._state.connected:
            if time.monotonic() >= end:
                reason = self._state.trouble or "nothing answers there"
                raise SourceJobError(f"no source job at {self.address}: {reason}")
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
    ) -> Subscription:
        """Run a query until it is closed, or for `ttl_ms`.

        `time` is the property that holds an event's time (left out: the time of publishing) and
        `lateness_ms` how late events may come then. Subscribers that name the same `group` share
        the rows among them. Waits `timeout_s` until the query runs (with None not at all: errors
        of the source job are then raised by the first read). In an event loop use
        `await asyncio.to_thread(client.subscribe, query)`.

        Raises QueryError if the query is wrong, SourceJobError if it is refused.
        """
        self._check_open()
        layout = layout_of(plan(query, live=True).steps)
        number = next(self._numbers)
        ask = Ask(
            0,
            query,
            time=time or "",
            lateness_ms=lateness_ms,
            group=group or "",
            ttl_ms=ttl_ms or 0,
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

    def agents(self) -> list[dict[str, object]]:
        """The agents that the source job knows."""
        return cast("list[dict[str, object]]", self._show("agents"))

    def queries(self) -> list[dict[str, object]]:
        """The queries that run."""
        return cast("list[dict[str, object]]", self._show("queries"))

    def streams(self) -> list[dict[str, object]]:
        """The streams that agents offer, with the fields seen in them."""
        return cast("list[dict[str, object]]", self._show("streams"))

    def metrics(self) -> dict[str, object]:
        """Sums over all queries that the source job has run: events, rows, drops, cost."""
        return cast("dict[str, object]", self._show("metrics"))

    def explain(self, query: str) -> dict[str, object]:
        """What becomes of a query, and what each agent does with it. Raises QueryError."""
        plan(query, live=True)
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
            raise SourceJobError(f"the source job at {self.address} did not answer") from None
        except BaseException:
            subscription.close()
            raise

    def _show(self, what: str, query: str = "") -> object:
        return json.loads(self._call(lambda: self._state.show(what, query), query) or "null")

    def _call(self, request: Callable[[], tuple[int, list[Action]]], text: str) -> bytes:
        """Send a request and wait for its reply. Raises SourceJobError and QueryError."""
        self._check_open()
        mailbox: Mailbox[bytes | Rejected] = Mailbox()
        made: list[int] = []

        def send(_now_us: int) -> list[Action]:
            number, actions = request()
            made.append(number)
            self._replies[number] = mailbox
            return actions

        self._post(send)
        try:
            result = mailbox.get(TIMEOUT_S)
        except TimeoutError:
            reason = self._state.trouble or "no answer came in time"
            raise SourceJobError(f"no source job at {self.address}: {reason}") from None
        finally:
            self._post(lambda _: self._forget(made))
        if isinstance(result, Rejected):
            raise error_of(result, text)
        return result

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
            case Reply(request, result):
                mailbox = self._replies.get(request)
                if mailbox is not None:
                    mailbox.put(result)


def _user() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return f"{name}@{socket.gethostname()}"
