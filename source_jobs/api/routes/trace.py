"""A trace over HTTP: a query for each stream, and one timeline of what comes.

It needs only the scope `trace`, since its queries are made here, of one value in one property each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mql.ledger import as_data
from source_jobs.api.auth.access import require
from source_jobs.api.auth.tokens import Caller, Scope
from source_jobs.api.bodies import Ask
from source_jobs.api.context import Door, door_of, peer_of
from source_jobs.api.errors import Refusal, refuse
from source_jobs.api.feeds.events import Beat, Closing, Lost, Numbered, Opening, Said, gap_data
from source_jobs.api.feeds.feed import Feed
from source_jobs.api.feeds.replay import Cursor
from source_jobs.api.formats import EVENTS, LINES, Kind, choose
from source_jobs.api.streaming import Reading, Stream
from source_jobs.timeline import STREAMS_MAX, Entry, Followed, Timeline, write_followed

_WAITING = 16
_ENTRIES = 1_000
"""Events that are written in one go."""
_ROUND_S = 0.1

_Heard = tuple[int, Sequence[Said]]
_Told = tuple[str, object]


async def trace(request: Request) -> Response:
    """Follow a value through streams: `follow=STREAM.PROPERTY=VALUE`, once for each stream."""
    door = door_of(request)
    caller = door.admit(request)
    require(caller, Scope.TRACE)
    kind = choose(request.headers.get("accept", ""), EVENTS)
    if kind not in {EVENTS, LINES}:
        raise refuse(406, "a trace is text/event-stream or application/x-ndjson")
    followed = _followed(request.query_params.getlist("follow"))
    ttl_ms = _ttl_of(request)
    door.running.check_readers(caller)
    peer = peer_of(request)
    feeds = await _start(door, caller, followed, ttl_ms, peer)
    form = f"trace {kind.name}"
    readings = [Reading(feed, caller, peer, form, door.metrics) for feed in feeds]
    return Stream(_body(followed, readings, kind), kind.media_type)


def _followed(words: list[str]) -> list[Followed]:
    if not 1 <= len(words) <= STREAMS_MAX:
        raise refuse(400, f"a trace follows 1 to {STREAMS_MAX} streams: ?follow=STREAM.KEY=VALUE")
    try:
        return write_followed(words)
    except ValueError as error:
        raise refuse(400, str(error)) from None


def _ttl_of(request: Request) -> int | None:
    text = request.query_params.get("ttl_ms")
    if text is None:
        return None
    try:
        return msgspec.convert({"query": "", "ttl_ms": text}, Ask, strict=False).ttl_ms
    except msgspec.ValidationError as error:
        raise refuse(400, f"the address does not fit: {error}") from None


async def _start(
    door: Door, caller: Caller, followed: list[Followed], ttl_ms: int | None, peer: str
) -> list[Feed]:
    """Run all of the queries, or none."""
    feeds: list[Feed] = []
    try:
        for each in followed:
            ask = Ask(each.query, ttl_ms=ttl_ms)
            feeds.append(await door.running.start(caller, ask, peer, once=True))
    except Refusal:
        _cancel(feeds)
        raise
    return feeds


async def _body(
    followed: list[Followed], readings: list[Reading], kind: Kind
) -> AsyncGenerator[bytes]:
    write = _event if kind is EVENTS else _line
    heard: asyncio.Queue[_Heard] = asyncio.Queue(_WAITING)
    tasks = [asyncio.create_task(_listen(i, each, heard)) for i, each in enumerate(readings)]
    try:
        async for told in _told(followed, tasks, heard):
            data = b"".join(write(name, value) for name, value in told) or write("", None)
            readings[0].sent((), len(data))  # what several streams share counts as of the first
            yield data
    finally:
        for task, reading in zip(tasks, readings, strict=True):
            task.cancel()
            reading.over()
        _cancel([reading.feed for reading in readings])


async def _listen(place: int, reading: Reading, heard: asyncio.Queue[_Heard]) -> None:
    async with aclosing(reading.feed.read(Cursor(), reading.caller)) as pieces:
        async for said in pieces:
            await heard.put((place, said))
            reading.sent(said, 0)


async def _told(
    followed: list[Followed], tasks: list[asyncio.Task[None]], heard: asyncio.Queue[_Heard]
) -> AsyncGenerator[list[_Told]]:
    """What is to be written: events in order of time, and what is known of each stream."""
    timeline, open_streams = Timeline(), len(followed)
    while open_streams or not heard.empty():
        told: list[_Told] = []
        beats = False
        for place, said in await _soon(heard):
            for each in said:
                told += _take(followed[place].stream, each, timeline)
                open_streams -= isinstance(each, Closing)
                beats = beats or isinstance(each, Beat)
                await asyncio.sleep(0)  # others have their turn, however much has come
        entries = timeline.take(_now_ms() if open_streams else None)
        for first in range(0, len(entries), _ENTRIES):
            some = entries[first : first + _ENTRIES]
            yield [("events", {"events": [_entry(entry) for entry in some]})]
            await asyncio.sleep(0)
        if told or beats:
            yield told
        if all(task.done() for task in tasks) and heard.empty():
            break


async def _soon(heard: asyncio.Queue[_Heard]) -> list[_Heard]:
    """What is there, or comes within a tenth of a second."""
    try:
        first = await asyncio.wait_for(heard.get(), _ROUND_S)
    except TimeoutError:
        return []
    return [first, *(heard.get_nowait() for _ in range(heard.qsize()))]


def _take(stream: str, said: Said, timeline: Timeline) -> list[_Told]:
    """Put events on the timeline; the rest is told at once."""
    match said:
        case Opening():
            about = {"id": said.id, "query": said.query, "text": said.text}
            return [("started", {"stream": stream, **about, "warnings": said.warnings})]
        case Numbered(_, piece):
            window, now_ms = piece.window, _now_ms()
            for event, time_ms in zip(window.rows(), window.times_ms(), strict=True):
                timeline.add(stream, now_ms if time_ms is None else time_ms, event, now_ms)
            told: list[_Told] = []
            if window.gap is not None:
                told.append(("gap", {"stream": stream, **gap_data(window.gap)}))
            if window.completeness is not None:
                known = as_data(window.completeness)
                told.append(("completeness", {"stream": stream, "completeness": known}))
            return told
        case Lost():
            return [("gap", {"stream": stream, **gap_data(said)})]
        case Closing(reason, failed, total):
            lacks = None if total is None else as_data(total)
            ended = {"reason": reason, "failed": failed, "completeness": lacks}
            return [("ended", {"stream": stream, **ended})]
        case Beat():
            return []


def _entry(entry: Entry) -> dict[str, object]:
    event = dict(entry.event)
    agent = event.pop("_agent", None)
    where = agent if isinstance(agent, dict) else {}
    return {
        "time_ms": entry.time_ms,
        "stream": entry.stream,
        "service": where.get("service"),
        "host": where.get("host"),
        "event": event,
    }


def _event(name: str, value: object) -> bytes:
    if not name:
        return b": heartbeat\n\n"
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(value))


def _line(name: str, value: object) -> bytes:
    """Events as lines of their own; anything else under a key that begins with `_`."""
    match name, value:
        case "", _:
            return b"\n"
        case "events", {"events": list(entries)}:
            return b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
        case _:
            return msgspec.json.encode({f"_{name}": value}) + b"\n"


def _cancel(feeds: list[Feed]) -> None:
    for feed in feeds:
        feed.cancel("its reader left")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
