"""Our side of the comparison: an agent's core, a source job's and a client's, on one core.

What a service publishes is screened, kept and packed by the agent, merged by the source job, and
decoded into rows by the client; all that happens between `publish` and the rows is in the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from benchmarks.job import Rig
from benchmarks.peers.questions import (
    END_MS,
    PER_MS,
    WINDOW,
    WINDOW_MS,
    Event,
    Offered,
    Question,
    Rows,
)
from mql.exec.operator import Window
from mql.layout import layout_of
from mql.planner.plan import plan
from mql.result import Chunk
from mql.wire.codec import to_clients
from mql.wire.messages import Answer, Ended
from mql.wire.payload import read_batch
from publish_agent.runtime.allocator import keep_scratch

DRAIN_MS = 20
"""Between two drains of an agent that is as busy and keeps to its budget."""
_STEP_US = 2_000_000
"""So long nobody needs to hear from anybody."""
_SETTLE_US = 1_200_000
_LOOKED_AT: Event = {"status": 0, "country": "", "latency_ms": 0.0}
"""About once a second an agent looks at an event, for 20 ms: at this one, before it is measured."""
_CLOSING_US = 2_000_000
"""After so long a window has closed and its answer has come."""


class Live(Rig):
    """A query that runs, and the client that reads its answer."""

    def __init__(self, question: Question) -> None:
        super().__init__([question.query.mql], agents=1)
        keep_scratch()  # as each agent does
        self._windowed = question.query.windowed
        self._layout = layout_of(plan(question.query.mql, live=True).steps)
        self._end_ms = END_MS

    def ready(self, offered: Offered) -> None:
        """Go on to shortly before the end of a window, as far as the events want."""
        before_ms = END_MS - offered.start_ms
        now_ms = self.now_us // 1_000
        self._end_ms = (now_ms + before_ms) // WINDOW_MS * WINDOW_MS + 2 * WINDOW_MS
        start_us = (self._end_ms - before_ms) * 1_000
        self._go_to(start_us - _SETTLE_US)
        while self.now_us < start_us:
            self.streams[0].publish(_LOOKED_AT)
            self._pass(DRAIN_MS * 1_000)
        self.answers.clear()

    def answer(self, events: Iterable[Event]) -> Rows:
        """Publish events, drain every 20 ms, and read the answer to its end."""
        publish, source, rows = self.streams[0].publish, iter(events), Rows()
        for first in source:  # of each 20 ms; to count all of them would take as long as to publish
            publish(first)
            for event in islice(source, DRAIN_MS * PER_MS - 1):
                publish(event)
            self._pass(DRAIN_MS * 1_000)
            rows += self._rows()
        until_us = self.now_us + DRAIN_MS * 1_000
        if self._windowed:
            until_us = (self._end_ms + WINDOW_MS) * 1_000 + _CLOSING_US
        self._go_to(until_us)
        return rows + self._rows()

    def _go_to(self, moment_us: int) -> None:
        """Let time pass in which nothing is published."""
        while self.now_us < moment_us:
            self._pass(min(_STEP_US, moment_us - self.now_us))

    def _rows(self) -> Rows:
        """What has come, as a program reads it."""
        rows, decoder = Rows(), to_clients()
        for send in self.answers:
            message, payload = decoder.decode([bytes(frame) for frame in send.frames])
            assert not isinstance(message, Ended), message
            if isinstance(message, Answer) and payload:
                window = Window(message.start_ms, message.end_ms)
                made = Chunk(self._layout, read_batch(payload), window).rows()
                if self._windowed and message.start_ms is not None:
                    number = (message.start_ms - self._end_ms) // WINDOW_MS
                    named = ({name.lower(): value for name, value in row.items()} for row in made)
                    made = [{WINDOW: number, **row} for row in named if row["country"]]
                rows += made
        self.answers.clear()
        return rows
