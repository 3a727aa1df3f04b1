"""`mql query`: the rows of a live answer as they come, and how complete they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mql
from cli.interrupt import EXIT_CODE, Interrupt
from cli.live.completeness_text import describe, json_line
from cli.live.connection import Connection
from cli.live.held import kind_of
from cli.live.requirement import EXIT_CODE as UNMET_EXIT_CODE
from cli.live.requirement import Requirement
from cli.live.status import Alarms, StatusLine
from cli.live.summary import Summary
from cli.memory import tune_for_days
from cli.output.ledger_line import LedgerLine
from cli.output.table import utc
from cli.output.writer import Writer
from cli.run import RunOptions, choose_output, open_writers
from cli.terminal import complain, tell
from mql.account import GONE_AT_END
from mql.ledger import as_data

if TYPE_CHECKING:
    from source_jobs.client import Client, HttpClient, Subscription
    from source_jobs.client.window import LiveWindow

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """What `mql query` was asked. `ttl_ms` and `limit_rows` end it; None means never."""

    connection: Connection
    output: RunOptions
    ttl_ms: int | None = None
    limit_rows: int | None = None
    group: str | None = None
    require: Requirement | None = None


def query(text: str, options: QueryOptions) -> int:
    """Ask a query and write its answer. Returns the exit code.

    Raises MQLError, and click.UsageError for options that contradict each other.
    """
    tree = mql.parse(text)
    summary = Summary(kind_of(options.connection.question(text)))
    kind = choose_output(tree, options.output)
    tune_for_days()
    with options.connection.open() as client, _subscribe(client, text, options) as answer:
        for warning in answer.warnings:
            complain(warning)
        with Interrupt() as interrupt:
            interrupt.on_request(answer.close)
            status = StatusLine(shown=kind == "table")
            with open_writers(tree, kind, options.output) as writers:
                _copy(client, answer, writers, summary, interrupt, status, options)
            stopped = interrupt.requested
    _say_how_complete(kind, summary.describe(answer.total), options)
    if answer.ended not in {None, "closed", "limit"} and not options.ttl_ms:
        complain(f"the query ended: {answer.ended}")
    if stopped:
        return EXIT_CODE
    return 0 if _is_complete_enough(summary, answer, options.require) else UNMET_EXIT_CODE


def _is_complete_enough(
    summary: Summary, answer: Subscription, requirement: Requirement | None
) -> bool:
    """Whether an answer is as complete as it had to be; says why it is not."""
    if requirement is None:
        return True
    total = summary.total(answer.total)
    if requirement.failed:
        assert requirement.first_failed is not None
        first, held = requirement.first_failed
        of = f"{requirement.failed:,} of {requirement.judged:,} windows"
        why = f"{of}, first {utc(first.start_ms, '%H:%M:%S')}: {describe(first, held)}"
    elif (
        total is None
        or summary.ended == GONE_AT_END
        or not requirement.is_met(total, summary.held(total))
    ):
        why = summary.describe(answer.total)
    else:
        return True
    complain(f"not {requirement.text}, as --require wants it: {why}")
    return False


def _subscribe(client: Client | HttpClient, text: str, options: QueryOptions) -> Subscription:
    return client.subscribe(
        text,
        time=options.output.time,
        lateness_ms=options.output.lateness_ms,
        group=options.group,
        ttl_ms=options.ttl_ms,
    )


def _copy(
    client: Client | HttpClient,
    answer: Subscription,
    writers: Sequence[Writer],
    summary: Summary,
    interrupt: Interrupt,
    status: StatusLine,
    options: QueryOptions,
) -> None:
    """Pass on what comes until the end, or until Ctrl-C ends it."""
    alarms = Alarms(status)
    left = options.limit_rows
    try:
        while left is None or left > 0:
            window = answer.get(_POLL_S)
            if interrupt.requested:
                interrupt.answered()
            if window is None and answer.ended is not None:
                break
            alarms.connection(connected=client.connected, refused=client.refused)
            if window is None:
                continue
            summary.rows += window.num_rows
            if left is not None:
                window = window.head(left)
                left -= window.num_rows
            _write(window, writers, summary, alarms, options)
            status.show(summary.describe())
    except KeyboardInterrupt:
        interrupt.requested = True
    finally:
        interrupt.answered()
        status.clear()
    summary.ended = answer.ended
    if options.output.ledger and answer.total is not None:
        total = summary.total(answer.total)
        _write_line(writers, "_ledger_total", as_data(total or answer.total))
    for writer in writers:
        writer.finish()


def _write(
    window: LiveWindow,
    writers: Sequence[Writer],
    summary: Summary,
    alarms: Alarms,
    options: QueryOptions,
) -> None:
    """Write one piece of the answer, and what is to be said of it."""
    if window.gap is not None:
        gap = window.gap
        if options.output.ledger:
            about = {"from_ms": gap.from_ms, "to_ms": gap.to_ms, "pieces": gap.pieces}
            _write_line(writers, "_gap", about)
        alarms.gap(gap)
        summary.miss(gap)
    if window.num_rows or window.start_ms is not None:
        alarms.clear_status()
        for writer in writers:
            writer.write(window)
    known = window.completeness
    if known is not None:
        held = summary.add(known, closes=window.closes)
        alarms.see(known)
        if options.require is not None:
            options.require.judge(known, held)
        if options.output.ledger:
            _write_line(writers, "_ledger", as_data(known))


def _write_line(writers: Sequence[Writer], key: str, value: object) -> None:
    for writer in writers[:1]:  # the second one is a plot
        writer.write(LedgerLine(json_line(key, value)))


def _say_how_complete(kind: str, text: str, options: QueryOptions) -> None:
    """Under a table for people; else beside the rows."""
    if kind in {"table", ""} and options.output.out is None:
        tell(text)
    else:
        complain(text)
