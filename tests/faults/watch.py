"""A subscription that notes when each window came, so that faults can be timed from outside."""

from __future__ import annotations

import threading
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, sleep
from types import TracebackType
from typing import Self

import msgspec

from benchmarks.processes import NotReadyError
from mql.ledger import Completeness, Exactness
from source_jobs.client import Client, HttpClient, LiveWindow, SourceJobError

COUNTS = (
    "select count(*) as n, min(number) as first, max(number) as last, e['_agent']['pid'] as pid "
    "from requests window 0.5 group by e['_agent']['pid']"
)
"""Whose every event is counted, in windows of half a second: states travel."""

ROWS = "select number, e['_agent']['pid'] as pid from requests where status == 500"
"""Whose events are rows, one in 61."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A window, or a piece of an answer, and the moment at which it came."""

    at_s: float
    window: LiveWindow

    @property
    def completeness(self) -> Completeness | None:
        """What it says of itself."""
        return self.window.completeness

    def is_whole(self, agents: int, dead: Collection[str] = ()) -> bool:
        """Whether it is exact, and so many agents reported.

        While services that are `dead` are expected it is whole but for them: it names each of them
        as missing, and lacks nothing else.
        """
        known = self.completeness
        if known is None or known.reported != agents or known.expected != agents + len(dead):
            return False
        if not dead:
            return known.exactness is Exactness.EXACT
        missing = sorted(name.partition("@")[0] for name in known.missing)
        whole = msgspec.structs.replace(known, expected=agents, missing=())
        return (
            missing == sorted(dead)
            and known.exactness is Exactness.LOWER_BOUND
            and whole.exactness is Exactness.EXACT
            and not known.early
        )

    def names_gone(self, dead: Collection[str]) -> bool:
        """Whether it says of some services, and of no others, that they are gone."""
        known = self.completeness
        gone = [] if known is None else [each.name.partition("@")[0] for each in known.gone]
        return sorted(gone) == sorted(dead)

    @property
    def tells_of_trouble(self) -> bool:
        """Whether it says that something is missing, lost or late."""
        known = self.completeness
        return self.window.gap is not None or (
            known is not None and bool(known.missing or known.lost or known.early or known.silent)
        )


class Watch:
    """Reads an answer in a thread of its own until the block ends."""

    def __init__(self, client: Client | HttpClient, query: str) -> None:
        self._client = client
        self._answer = client.subscribe(query, timeout_s=10)
        self._thread = threading.Thread(target=self._read, name="watch", daemon=True)
        self.seen: list[Seen] = []

    @property
    def query_id(self) -> int | None:
        """The number of the query at the source job."""
        return self._answer.query_id

    def since(self, at_s: float) -> list[Seen]:
        """What came after a moment."""
        return [seen for seen in list(self.seen) if seen.at_s >= at_s]

    def wait_whole(self, agents: int, seconds: float, windows: int = 3) -> None:
        """Wait until so many windows in a row are whole."""
        end = monotonic() + seconds
        while monotonic() < end:
            last = self.seen[-windows:]
            if len(last) == windows and all(each.is_whole(agents) for each in last):
                return
            sleep(0.02)
        told = [each.completeness for each in self.seen[-windows:]]
        raise NotReadyError(f"not whole within {seconds:.0f} s, but: {told}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the query, so that its total comes, too."""
        with suppress(SourceJobError):
            self._client.cancel(self.query_id or 0)
            self._thread.join(5)
        self._answer.close()
        self._thread.join(5)

    @property
    def unseen_late(self) -> int:
        """What new processes published before they ran the query, in windows that had closed."""
        total = self._answer.total
        if total is None:
            return 0
        known = [each.completeness for each in self.seen if each.completeness is not None]
        told = sum(each.unseen for each in known if each.start_ms >= total.start_ms)
        return max(total.unseen - told, 0)

    def _read(self) -> None:
        for window in self._answer:
            self.seen.append(Seen(monotonic(), window))
