"""What is fuzzed: functions of bytes that return, whatever the bytes are."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import msgspec

from mql.errors import InputError, QueryError
from mql.events.decode import EventReader
from mql.language.format import format_query
from mql.language.parser import parse
from mql.planner.plan import plan
from mql.sources.ndjson import LineSource
from mql.wire.codec import (
    ProtocolError,
    encode,
    from_agents,
    from_clients,
    to_agents,
    to_clients,
)
from mql.wire.payload import read_batch, read_rows, write_batch
from tests.fuzz.script import play
from tests.fuzz.worlds import AgentWorld, ClientWorld, JobWorld

_FIELDS = plan("select *, a, e['b']['c'], e[^'p'] where e['l'][*] == 1 and t > 0").agent.reads
_DECODERS = (from_agents(), from_clients(), to_agents(), to_clients())


def parser(data: bytes) -> None:
    """Any text is a query, which is written and read back the same, or a QueryError."""
    text = data.decode("utf-8", "replace")
    try:
        tree = parse(text)
    except QueryError:
        return
    assert parse(format_query(tree)) == tree
    for live in (False, True):
        try:
            planned = plan(tree, live=live)
        except QueryError:
            continue
        assert str(planned)


def wire(data: bytes) -> None:
    """Any frame is a message, which is written and read back the same, or a ProtocolError."""
    if not data:
        return
    decoder = _DECODERS[data[0] % 4]
    try:
        message, _ = decoder.decode([data[1:]])
    except ProtocolError:
        return
    again, _ = decoder.decode([bytes(frame) for frame in encode(message)])
    # A number that is none is unlike itself.
    assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(message)


def payload(data: bytes) -> None:
    """Any payload is a batch, which is written and read back the same, or a ProtocolError."""
    try:
        batch = read_batch(data)
    except ProtocolError:
        return
    assert batch.nbytes <= 64 * len(data) + (1 << 27)
    assert read_batch(write_batch(batch).to_pybytes()).schema == batch.schema
    try:
        rows = read_rows(data, batch.num_rows)
    except ProtocolError:
        return
    assert len(rows) == 0 or rows.max() < batch.num_rows


def events(data: bytes) -> None:
    """Any bytes are lines, each of which is an event or is counted, however they are cut.

    What begins as if it were compressed, and is not, is an InputError.
    """
    counts = []
    for chunk_bytes in (1 << 20, 7):
        source = LineSource(BytesIO(data), "fuzz", chunk_bytes=chunk_bytes, max_line_bytes=1 << 16)
        reader = EventReader(_FIELDS)
        try:
            read = [each for each in source.batches(reader) if each is not None]
        except InputError:
            assert data.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd"))
            return
        for each in read:
            each.batch.validate(full=True)
        counts.append((sum(each.batch.num_rows for each in read), reader.bad.count))
    assert counts[0] == counts[1], counts


def agent(data: bytes) -> None:
    """Whatever source jobs say, the agent's core takes it and its state makes sense."""
    play(AgentWorld(), data)


def job(data: bytes) -> None:
    """Whatever agents and clients say, the source job's core takes it and its state makes sense."""
    play(JobWorld(), data)


def client(data: bytes) -> None:
    """Whatever the source job says, the client's core takes it and its state makes sense."""
    play(ClientWorld(), data)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "parser": parser,
    "wire": wire,
    "payload": payload,
    "events": events,
    "agent": agent,
    "job": job,
    "client": client,
}
