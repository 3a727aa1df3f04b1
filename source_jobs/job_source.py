"""A source job's output as another one's events: asks there, and publishes each row here.

agent = Agent(service="errors", source_jobs=["tcp://127.0.0.1:7766"])
with JobSource("tcp://other:7767", query, "errors", agent.publish, agent.lost):
    ...
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from mql.errors import MQLError
from mql.host_log import log_apart
from mql.layout import END, START
from mql.native_threads import Thread
from source_jobs.client import connect
from source_jobs.client.window import LiveWindow

Row = dict[str, object]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Taken:
    """What a job source has done: rows published, and what it knows to be missing.

    `lost` are the events and rows that the ledger says the answer lacks; `pieces` of it never
    came; and in `gaps` the other source job could not be reached, for `gap_ms` together.
    """

    rows: int = 0
    lost: int = 0
    pieces: int = 0
    gaps: int = 0
    gap_ms: int = 0


class JobSource:
    """Publishes the rows of a query as events of a stream, from when it is made until `close`.

    `publish(stream, row)` is an agent's; what it returns does not matter here, since an agent
    counts itself. `lose(stream, number)` hears of what is known to be missing, an agent's `lost`;
    where nobody knows how much (a connection lost, agents missing) of one at least. Rows of windows
    of time have `_window_start` and `_window_end`. It waits for a source job that is not there, and
    comes back to one that was away.

    Raises QueryError if the query is wrong, ValueError if the address or a key is none.
    """

    def __init__(
        self,
        address: str,
        query: str,
        stream: str,
        publish: Callable[[str, Row], object],
        lose: Callable[[str, int], object] | None = None,
        *,
        key: str | Path | None = None,
        server_key: str | Path | None = None,
    ) -> None:
        self.stream = stream
        self.taken = Taken()
        self.error: MQLError | None = None
        self._publish = publish
        self._lose = lose
        self._client = connect(address, key=key, server_key=server_key, timeout_s=None)
        try:
            self._answer = self._client.subscribe(query, timeout_s=None)
        except BaseException:
            self._client.close()
            raise
        self._thread = Thread(self._run, "mql-job-source")
        self._thread.start()

    @property
    def ended(self) -> str | None:
        """Why no more rows come (by the other source job's words), or None."""
        return self._answer.ended

    def close(self) -> None:
        """Stop, and wait until the rows that have come are published."""
        self._answer.close()
        if not self._thread.is_current():
            self._thread.join()
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        try:
            for window in self._answer:
                self._take(window)
        except MQLError as error:
            self.error = error
        if self.ended != "closed":
            why = self.error or self.ended
            log_apart(_log, logging.WARNING, "the source of %s has ended: %s", self.stream, why)

    def _take(self, window: LiveWindow) -> None:
        taken = self.taken
        for row in window.rows():
            if window.start_ms is not None:
                row = {START: window.start_ms, END: window.end_ms, **row}  # noqa: PLW2901
            self._publish(self.stream, row)
            taken.rows += 1
        lost = 0
        if window.completeness is not None:
            known = window.completeness
            taken.lost += known.lost
            lost += max(known.lost, int(bool(known.missing or known.refused)))
        if window.gap is not None:
            taken.pieces += window.gap.pieces
            lost += max(window.gap.pieces, 1)
            if window.gap.from_ms is not None and window.gap.to_ms is not None:
                taken.gaps += 1
                taken.gap_ms += window.gap.to_ms - window.gap.from_ms
        if lost and self._lose is not None:
            self._lose(self.stream, lost)
