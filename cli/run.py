"""`mql run`: connects a query's inputs, engine, writers and progress, and says how it went."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import click
import msgspec

import mql
from cli.arguments import STDIN
from cli.engine import Result, Statistics
from cli.interrupt import EXIT_CODE, Interrupt, end_standard_input
from cli.memory import bound_memory, tune_for_scans
from cli.output.destination import open_destination, standard_output, stdout_is_terminal
from cli.output.formats import choose_format, make_writer
from cli.output.ledger_line import LedgerLine
from cli.output.spool import Spool
from cli.output.writer import Writer
from cli.progress import ProgressBar
from cli.terminal import complain
from mql.errors import InputError
from mql.layout import layout_of

if TYPE_CHECKING:
    from mql.language.syntax import Query


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What `mql run` was asked. `inputs` are files by source name, `-` being standard input."""

    inputs: dict[str, str]
    time: str | None = None
    lateness_ms: int = 0
    output: str | None = None
    out: Path | None = None
    plot: bool = False
    strict: bool = False
    progress: bool = True
    ledger: bool = False


def run(query: Query, options: RunOptions) -> int:
    """Run a query and write its output. Returns the exit code.

    Raises MQLError, and click.UsageError for options that contradict each other.
    """
    tune_for_scans()
    bound_memory()
    kind = choose_output(query, options)
    with Interrupt() as interrupt:
        if STDIN in options.inputs.values():
            interrupt.on_request(end_standard_input)
        result = mql.run(
            query,
            _open_inputs(options.inputs),
            time=options.time,
            lateness_ms=options.lateness_ms,
            strict=options.strict,
        )
        interrupt.on_request(result.stop_reading)
        with closing(result), open_writers(query, kind, options) as writers:
            _copy(result, writers, interrupt, options)
        stopped = interrupt.requested
    _report(result.statistics, stopped=stopped)
    return EXIT_CODE if stopped else 0


def choose_output(query: Query, options: RunOptions) -> str:
    """The format of the output; empty if a plot takes its place. Raises click.UsageError."""
    kind = _choose_output(query, options)
    if options.ledger and kind != "jsonl":
        raise click.UsageError("--ledger adds lines to jsonl; add --output jsonl")
    return kind


def _choose_output(query: Query, options: RunOptions) -> str:
    if options.plot and options.output and not options.out:
        raise click.UsageError("--plot takes the output's place; add --out FILE for the rows")
    if options.plot:
        from cli.plot.plot import refusal  # noqa: PLC0415 - imports plotext

        if reason := refusal(query):
            raise click.UsageError(reason)
    if options.plot and not options.out:
        return ""
    try:
        return choose_format(options.output, options.out, to_terminal=stdout_is_terminal())
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _open_inputs(inputs: dict[str, str]) -> dict[str, str | BinaryIO]:
    return {
        name: cast("BinaryIO", sys.stdin.buffer) if file == STDIN else file
        for name, file in inputs.items()
    }


@contextmanager
def open_writers(query: Query, kind: str, options: RunOptions) -> Iterator[list[Writer]]:
    """What the rows go to."""
    layout = layout_of(mql.plan(query).steps)
    columns = None
    if not (layout.everything or layout.prefixes):
        columns = tuple(dict.fromkeys(path[0] for path in layout.paths))
    folder = options.out.parent if options.out else None
    with open_destination(options.out) as place, Spool(folder) as spool:
        writers = []
        if kind:
            writers.append(make_writer(kind, place, columns, spool, timed=layout.timed))
        if options.plot:
            writers.append(_make_plot(query))
        yield writers


def _make_plot(query: Query) -> Writer:
    from cli.plot.plot import BarPlot, LinePlot  # noqa: PLC0415 - imports plotext

    screen = standard_output()
    return LinePlot(screen, query) if query.window else BarPlot(screen, query)


def _copy(result: Result, writers: list[Writer], interrupt: Interrupt, options: RunOptions) -> None:
    """Pass every chunk to every writer, until the end or until Ctrl-C ends it."""
    bar = ProgressBar(result.statistics, shown=options.progress and sys.stderr.isatty())
    warnings = _Warnings(result, writers[:1] if options.ledger else [])
    try:
        warnings.tell(bar)
        for chunk in result.chunks():
            if interrupt.requested:
                interrupt.answered()
            if chunk.num_rows or chunk.start_ms is not None:
                bar.clear()
                for writer in writers:
                    writer.write(chunk)
            warnings.tell(bar)
            bar.update()
        warnings.tell(bar)
    except KeyboardInterrupt:
        interrupt.requested = True
    except InputError:
        # An input that was cut off by Ctrl-C may well end in the middle of something.
        if not interrupt.requested:
            raise
    finally:
        interrupt.answered()
        bar.clear()
    for writer in writers:
        writer.finish()


class _Warnings:
    """The warnings of a result, each told once: to people, and as a line among the rows."""

    def __init__(self, result: Result, writers: list[Writer]) -> None:
        self._result = result
        self._writers = writers
        self._told = 0

    def tell(self, bar: ProgressBar) -> None:
        """Tell of those that are new."""
        new = self._result.warnings[self._told :]
        if not new:
            return
        bar.clear()
        self._told += len(new)
        for warning in new:
            complain(f"warning: {warning}")
            for writer in self._writers:
                writer.write(LedgerLine(msgspec.json.encode({"_warning": warning}) + b"\n"))


def _report(statistics: Statistics, *, stopped: bool) -> None:
    """Say on standard error what the rows do not."""
    for note in statistics.notes:
        complain(note)
    if statistics.bad_lines:
        complain(_bad_lines(statistics))
    if statistics.late:
        complain(_counted(statistics.late, "too late for its window", "too late for their windows"))
    if statistics.without_time:
        complain(_counted(statistics.without_time, "without a time", "without a time"))
    if stopped:
        complain(f"stopped after {statistics.events:,} events")


def _bad_lines(statistics: Statistics) -> str:
    count, first = statistics.bad_lines, statistics.first_bad_line
    if count == 1:
        said = f"1 line is not JSON: line {first}"
    else:
        said = f"{count:,} lines are not JSON; the first is line {first}"
    unread = statistics.unread
    return f"{said} (not checked, as they cannot match: {unread:,})" if unread else said


def _counted(count: int, one: str, many: str) -> str:
    return (
        f"1 event was left out: {one}" if count == 1 else f"{count:,} events were left out: {many}"
    )
