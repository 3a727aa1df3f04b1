"""Asking a source job over HTTP, for those who cannot reach its ZeroMQ port.

`HttpClient` has the methods of `Client`, and its subscriptions are the same `Subscription`: the
server sends the protocol's own messages. A connection that breaks is made again, from where the
answer had come to; where the query is gone it is asked anew, and the answer has a gap.
"""

from __future__ import annotations

import atexit
import time
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlencode

from msgspec import convert

from mql.host.native_threads import make_lock
from mql.layout import RowLayout
from mql.wire.messages import Ask
from mql.wire.upstream import FEEDS_MAX, Feed
from source_jobs.client.actions import AwayError, SourceJobError
from source_jobs.client.clock import JobClock
from source_jobs.client.http.answer_reader import Following
from source_jobs.client.http.requests import TROUBLE, Calls
from source_jobs.client.live_layout import live_layout
from source_jobs.client.mailbox import call_apart
from source_jobs.client.paging import Records, all_pages
from source_jobs.client.subscription import Subscription

TIMEOUT_S = 2.0


class HttpClient:
    """A source job's HTTP server; made by `connect`. Close it, or use it in a `with` block."""

    def __init__(self, calls: Calls) -> None:
        self.address = calls.base
        self._calls = calls
        self._followings: set[Following] = set()
        self._closed = False
        self._up = False
        self._job = self._shown = ""
        self._feeds: tuple[Feed, ...] = ()
        self._lock = make_lock()
        atexit.register(self.close)

    @property
    def connected(self) -> bool:
        """Whether the source job answered when it was asked last."""
        return self._up

    @property
    def reachable(self) -> bool:
        """The same."""
        return self._up

    @property
    def refused(self) -> str:
        """Why we are not let in with a key: there are none over HTTP."""
        return ""

    @property
    def job(self) -> str:
        """The random name of the source job, once `look` has been called."""
        return self._job

    @property
    def shown(self) -> str:
        """What people know that source job by."""
        return self._shown

    @property
    def feeds(self) -> tuple[Feed, ...]:
        """The source jobs upstream of it."""
        return self._feeds

    @property
    def clock(self) -> JobClock:
        """What is known of its clock: nothing."""
        return JobClock()

    def look(self) -> None:
        """Learn the source job's names, and which are upstream of it. Raises SourceJobError."""
        told = cast("dict[str, object]", self._call("GET", "/api/agents"))
        self._job, self._shown = str(told.get("job", "")), str(told.get("shown", ""))
        self._feeds = convert(told.get("feeds", ()), tuple[Feed, ...])[:FEEDS_MAX]

    def wait_connected(self, timeout_s: float = TIMEOUT_S) -> None:
        """Wait for the source job. Raises AwayError if it does not answer in time."""
        end = time.monotonic() + timeout_s
        while trouble := self._trouble(max(0.1, end - time.monotonic())):
            if time.monotonic() >= end:
                raise AwayError(f"no source job at {self.address}: {trouble}")
            time.sleep(0.02)

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
    ) -> Subscription:
        """Run a query until it is closed, or for `ttl_ms`: as `Client.subscribe`.

        Raises QueryError if the query is wrong, SourceJobError if it is refused.
        """
        self._check_open()
        layout = layout or live_layout(query, None if timeout_s is None else self)
        ask = Ask(
            1,
            query,
            time=time or "",
            lateness_ms=lateness_ms,
            group=group or "",
            ttl_ms=ttl_ms or 0,
        )
        following = Following(self._calls, ask, self._note)
        subscription = Subscription(
            query, layout, consumed=following.consumed, leave=lambda: self._leave(following)
        )
        if timeout_s is not None:
            call_apart(lambda: following.ask(timeout_s))
        self._followings.add(following)
        following.start(subscription.deliver)
        if timeout_s is not None:
            self._wait_started(subscription, timeout_s)
        return subscription

    def agents(self) -> Records:
        """The agents that the source job knows."""
        return all_pages(lambda after: self.page("agents", after))

    def queries(self) -> Records:
        """The queries that run: our own, and with the scope `admin` all."""
        return all_pages(lambda after: self.page("queries", after))

    def streams(self) -> Records:
        """The streams that we may read, with the fields seen in them."""
        return all_pages(lambda after: self.page("streams", after))

    def page(
        self, what: str, after: str = "", limit: int = 0, *, brief: bool = False
    ) -> tuple[Records, str]:
        """Some `agents`, `queries` or `streams`, and the `after` of those that follow.

        As `Client.page`.
        """
        wanted = {"after": after, "limit": limit or "", "brief": "1" if brief else ""}
        asked = urlencode({name: value for name, value in wanted.items() if value})
        path = f"/api/{what}?{asked}" if asked else f"/api/{what}"
        told = cast("dict[str, object]", self._call("GET", path))
        return cast("Records", told[what]), str(told.get("after", ""))

    def metrics(self) -> dict[str, object]:
        """Sums over all queries that the source job has run: events, rows, drops, cost."""
        return cast("dict[str, object]", self._call("GET", "/api/metrics"))

    def explain(self, query: str) -> dict[str, object]:
        """What becomes of a query, and what each agent does with it. Raises QueryError."""
        told = self._call("POST", "/api/explain", {"query": query})
        return cast("dict[str, object]", told)

    def cancel(self, query_id: int) -> None:
        """End a query for all who asked it, with the scope `admin`. Raises SourceJobError."""
        self._call("DELETE", f"/api/queries/{query_id:d}")

    def close(self) -> None:
        """End all subscriptions."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        atexit.unregister(self.close)
        followings = list(self._followings)
        for following in followings:
            following.close()
        for following in followings:
            following.join(TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _wait_started(self, subscription: Subscription, timeout_s: float) -> None:
        try:
            subscription.wait_started(timeout_s)
        except TimeoutError:
            subscription.close()
            raise AwayError(f"the source job at {self.address} did not answer") from None
        except BaseException:
            subscription.close()
            raise

    def _note(self, *, up: bool) -> None:
        self._up = up

    def _leave(self, following: Following) -> None:
        self._followings.discard(following)
        following.close()

    def _trouble(self, timeout_s: float) -> str:
        """Why the source job cannot be asked, or nothing."""
        self._up = False
        try:
            call_apart(lambda: self._calls.look("/readyz", timeout_s))
        except SourceJobError as error:
            return str(error)
        except TROUBLE as error:
            return str(error) or type(error).__name__
        self._up = True
        return ""

    def _call(self, method: str, path: str, body: object = None) -> object:
        self._check_open()
        return call_apart(lambda: self._calls.json(method, path, TIMEOUT_S * 2, body))

    def _check_open(self) -> None:
        if self._closed:
            raise SourceJobError("the client was closed")
