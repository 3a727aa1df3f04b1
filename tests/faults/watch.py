"""A subscription that notes when each window came, so that faults can be timed from outside."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from time import monotonic, sleep
from types import TracebackType
from typing import Self

from benchmarks.processes import NotReadyError
from mql.ledger import Completeness, Exactness
from source_jobs.client import Client, HttpClient, LiveWindow

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

    def is_whole(self, agents: int) -> bool:
        """Whether it is exact, and so many agents reported."""
        known = self.completeness
        return (
            known is not None
            and known.exactness is Exactness.EXACT
            and known.expected == known.reported == agents
        )

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
        self._answer.close()
        self._thread.join(5)

    def _read(self) -> None:
        for window in self._answer:
            self.seen.append(Seen(monotonic(), window))
