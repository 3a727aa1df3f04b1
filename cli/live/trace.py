"""`mql trace`: events of several streams that have one value in common, as one timeline."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

import click

from cli.interrupt import EXIT_CODE, Interrupt
from cli.live.connection import Connection
from cli.live.held import Kind
from cli.live.records import Record, Records, format_for
from cli.live.status import Alarms, StatusLine
from cli.live.summary import Summary
from cli.memory import tune_for_days
from cli.output.destination import standard_output
from cli.output.formats import make_writer
from cli.output.spool import Spool
from cli.output.table import utc
from cli.output.writer import Writer
from cli.terminal import complain, tell
from source_jobs.timeline import Entry, Followed, Streams, Timeline, find_followed, read_wanted

if TYPE_CHECKING:
    from source_jobs.client import Client, HttpClient, Subscription
    from source_jobs.client.paging import Records as Listed
    from source_jobs.client.window import LiveWindow

_POLL_S = 0.02
_COLUMNS = ("time", "stream", "service", "host", "event")


def trace(
    words: Sequence[str], connection: Connection, ttl_ms: int | None, output: str | None
) -> int:
    """Write the timeline as it comes. Returns the exit code.

    Raises MQLError, and click.UsageError for words that are no question.
    """
    try:
        wanted = read_wanted(words)
        kind = format_for(output)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    tune_for_days()
    with connection.open() as client, ExitStack() as stack:
        try:
            followed = find_followed(wanted, lambda: _fields(client))
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        answers = [
            stack.enter_context(client.subscribe(each.query, ttl_ms=ttl_ms)) for each in followed
        ]
        for warning in dict.fromkeys(w for answer in answers for w in answer.warnings):
            complain(warning)
        interrupt = stack.enter_context(Interrupt())
        for answer in answers:
            interrupt.on_request(answer.close)
        spool = stack.enter_context(Spool())
        writer = make_writer(kind, standard_output(), _COLUMNS, spool, timed=False)
        tracks = [_Track(*pair) for pair in zip(followed, answers, strict=True)]
        _follow(client, tracks, writer, interrupt, kind)
        for track in tracks:
            track.summary.ended = track.answer.ended
            text = f"{track.stream}: {track.summary.describe(track.answer.total)}"
            if kind == "table":
                tell(text)
            else:
                complain(text)
        return EXIT_CODE if interrupt.requested else 0


def _fields(client: Client | HttpClient) -> Streams:
    """The fields that have been seen in each stream, as MQL writes them."""
    return {
        str(stream["stream"]): [str(field["path"]) for field in cast("Listed", stream["fields"])]
        for stream in client.streams()
    }


class _Track:
    """One stream of the timeline."""

    def __init__(self, followed: Followed, answer: Subscription) -> None:
        self.stream = followed.stream
        self.answer = answer
        self.summary = Summary(Kind())
        self.status = StatusLine(shown=False)
        self.alarms = Alarms(self.status, about=f"{followed.stream} ")

    def take_into(self, timeline: Timeline) -> bool:
        """Move what has come into the timeline; whether that was anything."""
        came = False
        while (window := self.answer.get(0)) is not None:
            came = True
            self._take(window, timeline)
        return came

    def _take(self, window: LiveWindow, timeline: Timeline) -> None:
        now_ms = time.time_ns() // 1_000_000
        self.summary.rows += window.num_rows
        if window.completeness is not None:
            self.summary.add(window.completeness, closes=window.closes)
            self.alarms.see(window.completeness)
        if window.gap is not None:
            self.alarms.gap(window.gap)
            self.summary.miss(window.gap)
        for event, time_ms in zip(window.rows(), window.times_ms(), strict=True):
            timeline.add(self.stream, now_ms if time_ms is None else time_ms, event, now_ms)


def _follow(
    client: Client | HttpClient,
    tracks: Sequence[_Track],
    writer: Writer,
    interrupt: Interrupt,
    kind: str,
) -> None:
    """Write what comes, in order, until all answers have ended or Ctrl-C ends them."""
    timeline = Timeline()
    try:
        while True:
            came = [track.take_into(timeline) for track in tracks]
            if interrupt.requested:
                interrupt.answered()
            tracks[0].alarms.connection(connected=client.connected, refused=client.refused)
            _write(writer, timeline.take(time.time_ns() // 1_000_000), kind)
            if all(track.answer.ended is not None for track in tracks):
                break
            if not any(came):
                time.sleep(_POLL_S)
    except KeyboardInterrupt:
        interrupt.requested = True
    _write(writer, timeline.take(), kind)
    writer.finish()


def _write(writer: Writer, entries: Sequence[Entry], kind: str) -> None:
    if entries:
        writer.write(Records([_record(entry, people=kind == "table") for entry in entries]))


def _record(entry: Entry, *, people: bool) -> Record:
    """A row: the time (in ms since 1970 for programs), where it was, and the event."""
    event = dict(entry.event)
    agent = event.pop("_agent", None)
    where = agent if isinstance(agent, dict) else {}
    return {
        "time": utc(entry.time_ms, "%H:%M:%S.%f")[:12] if people else entry.time_ms,
        "stream": entry.stream,
        "service": where.get("service"),
        "host": where.get("host"),
        "event": event,
    }
