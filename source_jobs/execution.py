"""One running query: parts of agents in, pieces of its answer out.

It knows no peer and no subscriber. Rows wait in the merge until the query's watermark has passed
them, go through the job's half of the plan, and come out in pieces; the ledger of each span of
time goes with the piece that closes it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa

from mql.batch import Ints
from mql.events.decode import EventReader
from mql.exec.build import Context, Pipeline
from mql.exec.clock import EventClock
from mql.exec.limits import Limits
from mql.exec.operator import Block, Counters, Window, window_index
from mql.ledger import Completeness
from mql.planner.logical import Join
from mql.wire.codec import ProtocolError
from mql.wire.messages import Part
from source_jobs.estimates import stated_errors
from source_jobs.ledger import Ledger, Totals, check_tally, check_weight
from source_jobs.merge import MergeBuffer
from source_jobs.pieces import Piece, columns_of, cut
from source_jobs.questions import SECOND_MS, Question
from source_jobs.reporters import Reporter, Reporters
from source_jobs.shipment import Shipment, needs_of, sided

_RELEASE_BYTES = 1 << 22
"""So many bytes of rows go on although they close no window yet."""

_JOIN_EVERY_MS = 100
"""So often a join goes on with the time alone."""

_MOST_SECONDS = 60
"""A query that is more seconds behind tells of all of them at once."""

_LAST_MS = 300
"""So much longer is waited at the end: agents tell of what does not match once a second."""

_REMEMBERED_MS = 600_000
"""So long an agent that is gone may come back and go on with its sequence."""


class Execution:
    """Runs the job's half of a query."""

    def __init__(self, number: int, question: Question, held: Limits, now_ms: int) -> None:
        self.number = number
        self.question = question
        self.start_ms = now_ms
        self.end_ms: int | None = None
        """Set once the query waits only for what was before that time."""
        self.rows_out = 0
        self.reporters = Reporters(len(question.streams))
        first_ms = now_ms - question.lateness_ms
        self.ledger = Ledger(question.slot_ms, first_ms, question.rate)
        self.watermark_ms = first_ms
        self._now_ms = now_ms
        self._counters = Counters()
        self._counted_late = 0
        context = Context(
            now_ms=lambda: self._now_ms,
            start_ms=first_ms,
            limits=held,
            counters=self._counters,
        )
        self._pipeline = Pipeline(question.plan.job, context)
        self._clock = EventClock()
        empty = EventReader(question.plan.agent.ships).from_events([]).batch
        self._needs = [
            needs_of(empty, self._side(source), believes=bool(question.time))
            for source in range(len(question.streams))
        ]
        self._merge = MergeBuffer(sided(empty, self._side(0)), held.bytes)
        self._joins = any(isinstance(step, Join) for step in question.plan.job)
        self._columns = columns_of(question.layout)
        self._told_ms = first_ms // SECOND_MS * SECOND_MS
        self._next_close_ms = self._first_end(first_ms)
        self._closed_ms = first_ms

    @property
    def done(self) -> bool:
        """Whether nothing can be added to the answer."""
        return self._pipeline.done

    @property
    def due_ms(self) -> int:
        """When the watermark will let something happen that needs no further part."""
        due = self._next_close_ms if self.question.window else self._told_ms + SECOND_MS
        if self._joins:
            due = min(due, self.watermark_ms + _JOIN_EVERY_MS)
        elif self.question.in_order and self.question.window is None:
            due = min(due, self._merge.least_ms + 1)
        due += self.question.lateness_ms
        return due if self.end_ms is None else min(due, self.end_ms) + _LAST_MS

    def take(self, part: Part, reporter: Reporter, shipment: Shipment | None, now_ms: int) -> None:
        """Take in what an agent has sent; without a time property nothing is later than now.

        Raises ProtocolError, before anything is taken, or RunError.
        """
        for tally in part.tallies:
            check_tally(tally)
        check_weight(part.weight)
        rows = None
        if shipment is not None and shipment.holds_states:
            latest_ms = None if self.question.time else now_ms
            self._absorb(shipment.states, part.weight, latest_ms)
        elif shipment is not None:
            rows = shipment.rows(self._needs[part.source], part.rows)
        before_ms = reporter.watermark_ms
        lost = reporter.take(part, now_ms)
        self.ledger.add_transit(lost, before_ms)
        believes = bool(self.question.time)
        for tally in part.tallies:
            slot = tally.slot_ms if believes else min(tally.slot_ms, now_ms)
            self.ledger.add(tally, slot)
        if rows is not None:
            weight = part.weight if self.question.weighs else 1
            self._add_late(self._merge.add(rows, part.source, weight))

    def _add_late(self, times: Ints) -> None:
        """Count rows that came after what was released, by their times."""
        if len(times):
            late, numbers = np.unique(times, return_counts=True)
            for time_ms, number in zip(late.tolist(), numbers.tolist(), strict=True):
                self.ledger.add_late(number, time_ms)

    def _absorb(self, states: pa.RecordBatch, weight: int, latest_ms: int | None) -> None:
        if not self.question.takes_states:
            raise ProtocolError("states of a query that has none")
        try:
            self._pipeline.absorb(states, weight, latest_ms)
        except ValueError as error:
            raise ProtocolError(f"states that do not fit: {error}") from None

    def advance(self, now_ms: int, grace_ms: int) -> list[Piece]:
        """Give what the watermark, and the end of the grace time, let go."""
        self._now_ms = now_ms
        grace_ms += 0 if self.end_ms is None else _LAST_MS
        mark = min(self.reporters.watermark(now_ms, grace_ms), now_ms, self.end_ms or now_ms)
        self.watermark_ms = max(self.watermark_ms, mark - self.question.lateness_ms)
        pieces = self._release()
        if self.question.window is None:
            pieces += self._seconds()
        return pieces

    def is_over(self, now_ms: int, grace_ms: int) -> bool:
        """Whether all before the end has come, or been waited for."""
        if self.end_ms is None:
            return False
        reached = self.watermark_ms + self.question.lateness_ms >= self.end_ms
        return reached or now_ms >= self.end_ms + grace_ms + _LAST_MS

    def finish(self, now_ms: int) -> list[Piece]:
        """Give what is left, the last windows cut off at the end."""
        self._now_ms = now_ms
        end_ms = now_ms if self.end_ms is None else self.end_ms
        rows = self._merge.release_all()
        if self.question.in_order:
            blocks = self._pipeline.push(self._clock.stamp(rows, self.watermark_ms))
        else:
            blocks = self._pipeline.push(Block(rows))
        blocks += self._pipeline.finish(end_ms)
        pieces = self._pieces(blocks, cut_ms=end_ms)
        if self.question.window is not None and not self.question.time:
            self.ledger.leave_out_from(max(self._closed_ms, end_ms))
        if self.question.window is None:
            last_ms = max(now_ms, self._told_ms) // SECOND_MS * SECOND_MS
            pieces.append(self._second(last_ms + SECOND_MS, partial=True))
        return pieces

    def total(self, since: Totals, start_ms: int, now_ms: int) -> Completeness:
        """The ledger of the whole answer from some moment on."""
        told_ms = max(self.watermark_ms, start_ms + 1)
        call = self.reporters.call(start_ms, max(now_ms + 1, told_ms), told_ms)
        return self.ledger.total(start_ms, now_ms, since, call)

    def validate(self) -> None:
        """Check what always holds; for tests."""
        self._merge.validate()
        self.ledger.validate()
        self.reporters.validate()
        assert self._closed_ms <= self.watermark_ms or self.end_ms is not None

    def _side(self, source: int) -> int | None:
        right = self.question.first_right
        return None if right is None else int(source >= right)

    def _release(self) -> list[Piece]:
        if not self.question.in_order:
            if not self._merge.rows:
                return []
            return self._pieces(self._pipeline.push(Block(self._merge.release_all())))
        if not self._is_due():
            return []
        rows = self._merge.release(self.watermark_ms)
        blocks = self._pipeline.push(self._clock.stamp(rows, self.watermark_ms))
        return self._pieces(blocks)

    def _is_due(self) -> bool:
        mark, window = self.watermark_ms, self.question.window
        released = self._merge.released_ms
        if released is None or (self._joins and mark > released):
            return True
        if window is None:
            return self._merge.ready(mark)
        if mark >= self._next_close_ms:
            return True
        return self._merge.bytes > _RELEASE_BYTES and self._merge.ready(mark)

    def _pieces(self, blocks: Sequence[Block], cut_ms: int | None = None) -> list[Piece]:
        self._count_late()
        pieces: list[Piece] = []
        for block in blocks:
            batch = block.batch.select([n for n in self._columns if n in block.batch.schema.names])
            if block.windows is None or not self.question.layout.windowed:
                pieces += [Piece(part) for part in cut(batch)]
                continue
            index = window_index(block)
            for number, window in enumerate(block.windows):
                start, end = index.searchsorted([number, number + 1])
                pieces += self._window(batch.slice(start, end - start), window, cut_ms)
        self._note_closed()
        self.rows_out += sum(piece.num_rows for piece in pieces)
        return pieces

    def _window(self, rows: pa.RecordBatch, window: Window, cut_ms: int | None) -> list[Piece]:
        start_ms, end_ms = window.start_ms, window.end_ms
        *earlier, last = cut(rows) or [rows]
        pieces = [Piece(part, start_ms, end_ms) for part in earlier]
        completeness = None
        if start_ms is not None and end_ms is not None:
            is_cut = cut_ms is not None and cut_ms < end_ms
            completeness = self._close(start_ms, end_ms, cut_ms if is_cut else None)
            known = self._counters.errors.pop(window, {})
            errors = stated_errors(self.question.plan.job, known, completeness.tally.weight)
            completeness = msgspec.structs.replace(completeness, errors=errors)
            assert self.question.window is not None
            self._forget_before(start_ms + self.question.window.shift_ms)
            self._closed_ms = max(self._closed_ms, end_ms)
        return [*pieces, Piece(last, start_ms, end_ms, closes=True, completeness=completeness)]

    def _close(self, start_ms: int, end_ms: int, cut_ms: int | None) -> Completeness:
        """The ledger of a span of time; agents have to have come to its end, or to the cut."""
        self.reporters.forget(self.watermark_ms - _REMEMBERED_MS)
        lateness_ms = self.question.lateness_ms
        until_ms = end_ms if cut_ms is None else min(cut_ms, self.watermark_ms)
        call = self.reporters.call(start_ms, max(until_ms, start_ms) + lateness_ms)
        partial = cut_ms is not None or self.start_ms > start_ms
        return self.ledger.close(start_ms, end_ms, call, partial=partial)

    def _forget_before(self, time_ms: int) -> None:
        """All spans that begin before a time have been told of."""
        self.ledger.forget_before(time_ms)
        self.reporters.forget_gaps(time_ms)

    def _seconds(self) -> list[Piece]:
        pieces: list[Piece] = []
        until_ms = self.watermark_ms // SECOND_MS * SECOND_MS
        if until_ms - self._told_ms > _MOST_SECONDS * SECOND_MS:
            pieces.append(self._second(until_ms))
        while self._told_ms < until_ms:
            pieces.append(self._second(self._told_ms + SECOND_MS))
        return pieces

    def _second(self, end_ms: int, *, partial: bool = False) -> Piece:
        start_ms, self._told_ms = self._told_ms, end_ms
        completeness = self._close(start_ms, end_ms, self.watermark_ms if partial else None)
        self._forget_before(end_ms)
        return Piece(None, start_ms, end_ms, completeness=completeness)

    def _first_end(self, time_ms: int) -> int:
        window = self.question.window
        return (
            0 if window is None else time_ms // window.shift_ms * window.shift_ms + window.span_ms
        )

    def _note_closed(self) -> None:
        window = self.question.window
        if window is not None:
            closed = (self.watermark_ms - window.span_ms) // window.shift_ms
            following = (closed + 1) * window.shift_ms + window.span_ms
            self._next_close_ms = max(self._next_close_ms, following)

    def _count_late(self) -> None:
        counted = self._counters.late + self._counters.without_time
        self.ledger.add_late(counted - self._counted_late, self._closed_ms)
        self._counted_late = counted
