"""One running query: parts of agents in, pieces of its answer out.

It knows no peer and no subscriber. Rows wait in the merge until the query's watermark has passed
them, go through the job's half of the plan, and come out in pieces; the ledger of each span of
time goes with the piece that closes it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa

from mql.columnar.layout import Ints
from mql.events.decode import EventReader
from mql.exec.build import Context, Pipeline
from mql.exec.limits import Limits
from mql.exec.operator import Block, Counters, Window, window_index
from mql.exec.windows.event_time import EventClock
from mql.ledger import Completeness
from mql.planner.logical import Join
from mql.wire.codec import ProtocolError
from mql.wire.messages import Accept, Part
from source_jobs.query.answer_pieces import Piece, columns_of, cut
from source_jobs.query.estimates import with_errors
from source_jobs.query.ledger import COUNT_MAX, Ledger, Totals, check_tally, check_weight
from source_jobs.query.live_query import SECOND_MS, Question
from source_jobs.query.merge_buffer import MergeBuffer
from source_jobs.query.reporters import Reporter, Reporters
from source_jobs.query.shipment import Shipment, needs_of, sided
from source_jobs.query.steps import Beside, Steps, do
from source_jobs.query.upstreams import check_told
from source_jobs.shares import Room

_RELEASE_BYTES = 1 << 22
"""So many bytes of rows go on although they close no window yet."""

_PORTION, _PORTION_MAX = 4_096, 32_768
"""So many rows go on in one step, and so many if those before have added little to what is held:
aggregates take 10 ms for either.
"""
_ADDED_BYTES = 64
"""A row adds more if it is a group of its own."""

_LARGE_BYTES = 1 << 21
"""What is held in more bytes is sorted, joined and told of beside the source job's thread."""

_JOIN_EVERY_MS = 100
"""So often a join goes on with the time alone."""

_MOST_SECONDS = 60
"""A query that is more seconds behind tells of all of them at once."""

_LAST_MS = 300
"""So much longer is waited at the end: agents tell of what does not match once a second."""

_LAST_UPSTREAM_MS = 2_000
"""So much longer yet, for what another source job has to tell."""

_REMEMBERED_MS = 600_000
"""So long an agent that is gone may come back and go on with its sequence."""


class Execution:
    """Runs the job's half of a query."""

    def __init__(
        self,
        number: int,
        question: Question,
        held: Limits,
        now_ms: int,
        slots: Room | None = None,
    ) -> None:
        self.number = number
        self.question = question
        self.start_ms = now_ms
        self.end_ms: int | None = None
        """Set once the query waits only for what was before that time."""
        self.rows_out = 0
        self.reporters = Reporters(len(question.streams), now_ms)
        first_ms = now_ms - question.lateness_ms
        self.ledger = Ledger(question.slot_ms, first_ms, question.rate, slots)
        self.watermark_ms = first_ms
        self._now_ms = now_ms
        self._wait_ms = 0
        self._counters = Counters()
        self._counted_late = self._counted_no_time = 0
        context = Context(
            now_ms=lambda: self._now_ms,
            start_ms=first_ms,
            limits=held,
            counters=self._counters,
            share=question.share,
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
        self._closed_ms = self._ended_ms = first_ms

    @property
    def done(self) -> bool:
        """Whether nothing can be added to the answer."""
        return self._pipeline.done

    @property
    def held_bytes(self) -> int:
        """About how much memory its rows, groups and values take."""
        return self._merge.bytes + self._pipeline.held_bytes

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

    def wake_ms(self, grace_ms: int) -> int:
        """When the time alone will let something happen."""
        patience_ms = self.reporters.patience_ms(self.due_ms)
        if self.end_ms is not None:
            patience_ms = min(patience_ms, self.end_ms + grace_ms + _LAST_MS + _LAST_UPSTREAM_MS)
        return max(self.due_ms + grace_ms, patience_ms)

    def accept(self, message: Accept, reporter: Reporter, now_ms: int) -> None:
        """An agent runs the query, of which `check_accept` has seen that its count can be."""
        unseen = message.unseen
        is_repeated = reporter.accepted_ms == message.start_ms
        reporter.accept(message.start_ms, now_ms, knows_unseen=unseen is not None)
        if unseen and not is_repeated:
            assert reporter.start_ms is not None
            last_ms = reporter.start_ms - 1
            self.ledger.add_unseen(unseen, last_ms)
            reporter.note_unseen(message.unseen_ms, self._last_end(last_ms))

    def check(self, part: Part, shipment: Shipment | None) -> None:
        """See whether an agent may send this; `take` may come later. Raises ProtocolError."""
        for tally in part.tallies:
            check_tally(tally)
        check_weight(part.weight)
        check_told(part.told)
        if shipment is None:
            return
        if not shipment.holds_states:
            shipment.rows(self._needs[part.source], part.rows)
            return
        if not self.question.takes_states:
            raise ProtocolError("states of a query that has none")
        try:
            self._pipeline.check(shipment.states, part.weight)
        except ValueError as error:
            raise _unfit(error) from None

    def take(
        self,
        part: Part,
        reporter: Reporter,
        shipment: Shipment | None,
        now_ms: int,
        clock_ms: int = 0,
    ) -> None:
        """Take in what an agent has sent; without a time property nothing is later than now.

        By `clock_ms` the agent may take our clock wrong.

        Raises ProtocolError, before anything is taken, or RunError.
        """
        for tally in part.tallies:
            check_tally(tally)
        check_weight(part.weight)
        check_told(part.told)
        rows = None
        if shipment is not None and shipment.holds_states:
            latest_ms = None if self.question.time else now_ms
            self._absorb(shipment.states, part.weight, latest_ms)
        elif shipment is not None:
            rows = shipment.rows(self._needs[part.source], part.rows)
        before_ms = reporter.watermark_ms
        lost = reporter.take(part, now_ms)
        reporter.note_clock(0 if self.question.time else clock_ms, before_ms)
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
            raise _unfit(error) from None

    def advance(self, now_ms: int, grace_ms: int) -> Steps:
        """Give what the watermark, and the end of the grace time, let go."""
        self._now_ms = now_ms
        self._wait_ms = max(grace_ms, self.reporters.wait_ms)
        grace_ms += 0 if self.end_ms is None else _LAST_MS
        mark = min(self.reporters.watermark(now_ms, grace_ms), now_ms, self.end_ms or now_ms)
        self.watermark_ms = max(self.watermark_ms, mark - self.question.lateness_ms)
        yield from self._release()
        if self.question.window is None:
            yield from self._seconds()

    def is_over(self, now_ms: int, grace_ms: int) -> bool:
        """Whether all before the end has come, or been waited for."""
        if self.end_ms is None:
            return False
        reached = self.watermark_ms + self.question.lateness_ms >= self.end_ms
        last_ms = self.end_ms + grace_ms + _LAST_MS
        patience_ms = self.reporters.patience_ms(self.end_ms)
        return reached or now_ms >= max(last_ms, min(patience_ms, last_ms + _LAST_UPSTREAM_MS))

    def finish(self, now_ms: int) -> Steps:
        """Give what is left, the last windows cut off at the end."""
        self._now_ms = now_ms
        end_ms = now_ms if self.end_ms is None else self.end_ms
        # What agents have told of reaches to here, and is in the last windows. Where events may be
        # late, a window before it may still lack some: it was cut off, too.
        cut_ms = max(end_ms, self.watermark_ms) - self.question.lateness_ms
        yield from self._settle(wholly=True)
        rows = yield from self._rows(self._merge.release_all)
        yield from self._push(rows, cut_ms)
        is_large = self._pipeline.held_bytes > _LARGE_BYTES
        blocks = yield from do(partial(self._pipeline.finish, end_ms), beside=is_large)
        yield from self._pieces(blocks, cut_ms)
        if self.question.window is not None and not self.question.time:
            self.ledger.leave_out_from(max(self._closed_ms, end_ms))
        if self.question.window is None:
            last_ms = max(now_ms, self._told_ms) // SECOND_MS * SECOND_MS
            yield self._second(last_ms + SECOND_MS, partial=True)

    def total(self, since: Totals, start_ms: int, now_ms: int) -> Completeness:
        """The ledger of the whole answer from some moment on."""
        told_ms = max(self.watermark_ms, start_ms + 1)
        call = self.reporters.call(start_ms, max(now_ms + 1, told_ms), told_ms, now_ms)
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

    def _release(self) -> Steps:
        yield from self._settle()
        if not self.question.in_order:
            if self._merge.rows:
                rows = yield from self._rows(self._merge.release_all)
                yield from self._push(rows)
        elif self._is_due():
            yield from self._settle(wholly=True)
            rows = yield from self._rows(partial(self._merge.release, self.watermark_ms))
            yield from self._push(rows)

    def _settle(self, *, wholly: bool = False) -> Steps:
        """Add states that wait to be added."""
        while self.question.takes_states and self._pipeline.settle(wholly=wholly):
            yield None

    def _rows(
        self, release: Callable[[], pa.RecordBatch]
    ) -> Generator[Beside, object, pa.RecordBatch]:
        return do(release, beside=self._merge.bytes > _LARGE_BYTES)

    def _push(self, rows: pa.RecordBatch, cut_ms: int | None = None) -> Steps:
        """Send rows through the operators, some at a time, and with the last the time."""
        portion = _PORTION
        while True:
            some, rows = rows.slice(0, portion), rows.slice(portion)
            block = self._block(some, is_last=not rows.num_rows)
            before = self._pipeline.held_bytes
            work = partial(self._pipeline.push, block)
            blocks = yield from do(work, beside=self._is_large(block))
            added = self._pipeline.held_bytes - before
            portion = _PORTION if added > _ADDED_BYTES * some.num_rows else _PORTION_MAX
            yield from self._pieces(blocks, cut_ms)
            if not rows.num_rows:
                return
            yield None

    def _block(self, rows: pa.RecordBatch, *, is_last: bool) -> Block:
        if not self.question.in_order:
            return Block(rows)
        return self._clock.stamp(rows, self.watermark_ms if is_last else None)

    def _is_large(self, block: Block) -> bool:
        """Whether operators do something with much that they hold."""
        ends = False
        if self.question.window is not None and block.times is not None:
            ended_ms = self._last_end(block.times.now_ms)
            ends = ended_ms > self._ended_ms
            self._ended_ms = max(self._ended_ms, ended_ms)
        return (ends or self._joins) and self._pipeline.held_bytes > _LARGE_BYTES

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

    def _pieces(self, blocks: Sequence[Block], cut_ms: int | None = None) -> Steps:
        self._count_late()
        for block in blocks:
            batch = block.batch.select([n for n in self._columns if n in block.batch.schema.names])
            if block.windows is None or not self.question.layout.windowed:
                for part in cut(batch):
                    yield self._counted(Piece(part))
                continue
            index = window_index(block)
            for number, window in enumerate(block.windows):
                start, end = index.searchsorted([number, number + 1])
                for piece in self._window(batch.slice(start, end - start), window, cut_ms):
                    yield self._counted(piece)
        self._note_closed()

    def _counted(self, piece: Piece) -> Piece:
        self.rows_out += piece.num_rows
        return piece

    def _window(self, rows: pa.RecordBatch, window: Window, cut_ms: int | None) -> list[Piece]:
        start_ms, end_ms = window.start_ms, window.end_ms
        *earlier, last = cut(rows) or [rows]
        pieces = [Piece(part, start_ms, end_ms) for part in earlier]
        completeness = None
        if start_ms is not None and end_ms is not None:
            is_cut = cut_ms is not None and cut_ms < end_ms
            completeness = self._close(start_ms, end_ms, cut_ms if is_cut else None)
            known = self._counters.errors.pop(window, {})
            completeness = with_errors(completeness, self.question.plan, known)
            assert self.question.window is not None
            self._forget_before(start_ms + self.question.window.shift_ms)
            self._closed_ms = max(self._closed_ms, end_ms)
        wait_ms = self._wait_ms
        return [*pieces, Piece(last, start_ms, end_ms, True, completeness, wait_ms)]

    def _close(self, start_ms: int, end_ms: int, cut_ms: int | None) -> Completeness:
        """The ledger of a span of time; agents have to have come to its end, or to the cut."""
        self.reporters.forget(self.watermark_ms - _REMEMBERED_MS)
        until_ms = end_ms if cut_ms is None else min(cut_ms, self.watermark_ms)
        told_ms = max(until_ms, start_ms) + self.question.lateness_ms
        if cut_ms is not None:
            told_ms = min(told_ms, max(self.watermark_ms, start_ms))
        call = self.reporters.call(start_ms, told_ms)
        self.reporters.close(told_ms)
        lateness_ms = self.question.lateness_ms
        return self.ledger.close(start_ms, end_ms, call, cut_ms=cut_ms, lateness_ms=lateness_ms)

    def _forget_before(self, time_ms: int) -> None:
        """All spans that begin before a time have been told of."""
        self.ledger.forget_before(time_ms)
        self.reporters.forget_gaps(time_ms)

    def _seconds(self) -> Steps:
        until_ms = self.watermark_ms // SECOND_MS * SECOND_MS
        if until_ms - self._told_ms > _MOST_SECONDS * SECOND_MS:
            yield self._second(until_ms)
        while self._told_ms < until_ms:
            yield self._second(self._told_ms + SECOND_MS)

    def _second(self, end_ms: int, *, partial: bool = False) -> Piece:
        start_ms, self._told_ms = self._told_ms, end_ms
        completeness = self._close(start_ms, end_ms, self.watermark_ms if partial else None)
        self._forget_before(end_ms)
        return Piece(None, start_ms, end_ms, completeness=completeness, wait_ms=self._wait_ms)

    def _first_end(self, time_ms: int) -> int:
        window = self.question.window
        return (
            0 if window is None else time_ms // window.shift_ms * window.shift_ms + window.span_ms
        )

    def _last_end(self, time_ms: int) -> int:
        """The end of the last window, or second, that ends by a time."""
        window = self.question.window
        if window is None:
            return time_ms // SECOND_MS * SECOND_MS
        return (time_ms - window.span_ms) // window.shift_ms * window.shift_ms + window.span_ms

    def _note_closed(self) -> None:
        window = self.question.window
        if window is not None:
            following = self._last_end(self.watermark_ms) + window.shift_ms
            self._next_close_ms = max(self._next_close_ms, following)

    def _count_late(self) -> None:
        late, no_time = self._counters.late, self._counters.without_time
        self.ledger.add_late(late - self._counted_late, self._closed_ms)
        self.ledger.add_no_time(no_time - self._counted_no_time, self._closed_ms)
        self._counted_late, self._counted_no_time = late, no_time


def check_accept(message: Accept) -> None:
    """Raise ProtocolError for a count that cannot be."""
    if message.unseen is not None and not 0 <= message.unseen <= COUNT_MAX:
        raise ProtocolError("a count that cannot be")


def _unfit(error: ValueError) -> ProtocolError:
    return ProtocolError(f"states that do not fit: {error}")
