"""Whatever bytes a peer sends: a message, or a ProtocolError; and nothing that grows in memory."""

from __future__ import annotations

import contextlib
import os
import re
import struct
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mql.columnar.build import column_of, list_column_of
from mql.ledger import Completeness, Exactness, Tally
from mql.wire import messages as m
from mql.wire.codec import (
    Decoder,
    ProtocolError,
    encode,
    from_agents,
    from_clients,
    to_agents,
    to_clients,
)
from mql.wire.payload import read_batch, read_rows, write_batch, write_rows

TALLY = Tally(1000, 1, 2, 3, 4, 5, 6, 7, 8)
KNOWN = Completeness(0, 1000, 3, 2, ("a@b",), ("c@d",), TALLY, 1, 2, 3, 0.5, partial=True)
PART = m.Part(1, 0, 7, 1000, 3, 36, (TALLY,), has_rows=True, rows=b"\0\0\0\0")
SEEN = m.StreamSeen("requests", 1.5, (m.FieldSeen("e['a']", ("string",), '"x"'),))
COST = m.QueryCost(1, 0, 10, 5, 2, 1000, 99, "indexed")

DECODERS = {
    "agents": (from_agents(), m.AgentMessage),
    "to agents": (to_agents(), m.ToAgent),
    "clients": (from_clients(), m.ClientMessage),
    "to clients": (to_clients(), m.ToClient),
}
MESSAGES = {
    "agents": [
        m.Hello(1, "a1", "checkout", "host", 42, "1.0", 10**15, {"zone": "a"}, ("requests",)),
        m.Accept(1, 0, 10**12),
        m.Refuse(1, 0, "no"),
        m.Batch((PART,)),
        m.Heartbeat(10**15, 10**12, -5, 7, 9, ("requests",), (COST,)),
        m.Catalogue((SEEN,)),
        m.Goodbye(),
    ],
    "to agents": [
        m.Welcome(1, "j1", 1 << 20, 1, 2, 3),
        m.Unknown(),
        m.Subscribe(1, 0, "requests", "select *", 1000, "ts", 7, states=True),
        m.Unsubscribe(1),
        m.Credit(100),
        m.Beat(1, 2, 3),
        m.Look(),
    ],
    "clients": [
        m.Connect(1, "c1", "me", "1.0", 1 << 20),
        m.Ask(1, "select *", "ts", 5, "group", 1000),
        m.Leave(1),
        m.Alive(),
        m.Show(1, "streams"),
        m.Cancel(1, 2),
        m.Credit(100),
    ],
    "to clients": [
        m.Connected(1, "j1", "1.0"),
        m.Unknown(),
        m.Answering(1, 2, 10**12, ("careful",)),
        m.Rejected(1, "why", 1, 2, 3, 4, "hint", is_query=True),
        m.Answer(1, 3, closes=True, start_ms=0, end_ms=1000, completeness=KNOWN),
        m.Ended(1, "limit", failed=False, total=KNOWN),
        m.Shown(1),
        m.Alive(),
    ],
}
EACH = [pytest.param(k, each, id=type(each).__name__) for k, v in MESSAGES.items() for each in v]


def decoded(decoder: Decoder[m.Message], frames: list[bytes]) -> bool:
    """Whether it is a message; anything but a ProtocolError goes through."""
    with contextlib.suppress(ProtocolError):
        decoder.decode(frames)
        return True
    return False


def header_of(message: m.Message) -> bytes:
    return bytes(encode(message)[0])


@pytest.mark.parametrize(("kind", "message"), EACH)
def test_a_message_comes_back_as_it_was(kind: str, message: m.Message) -> None:
    decoder, _ = DECODERS[kind]
    assert decoder.decode([header_of(message)]) == (message, b"")
    assert decoder.decode([header_of(message), b"payload"]) == (message, b"payload")


def test_every_message_is_tested() -> None:
    for kind, (_, union) in DECODERS.items():
        assert {type(each) for each in MESSAGES[kind]} == set(union.__args__)


@pytest.mark.parametrize(("kind", "message"), EACH)
def test_a_message_cut_off_anywhere_is_refused(kind: str, message: m.Message) -> None:
    decoder, _ = DECODERS[kind]
    header = header_of(message)
    for size in range(len(header)):
        assert not decoded(decoder, [header[:size]]), size
    assert not decoded(decoder, [header + b"\0"])


@pytest.mark.parametrize(("kind", "message"), EACH)
def test_any_changed_byte_is_a_message_or_refused(kind: str, message: m.Message) -> None:
    decoder, _ = DECODERS[kind]
    header = bytearray(header_of(message))
    for place in range(len(header)):
        before = header[place]
        for change in (0x00, 0x7F, 0x80, 0xC1, 0xDF, 0xFF, before ^ 1):
            header[place] = change
            decoded(decoder, [bytes(header)])
        header[place] = before


@given(st.sampled_from(sorted(DECODERS)), st.lists(st.binary(max_size=200), max_size=4))
def test_random_frames_are_a_message_or_refused(kind: str, frames: list[bytes]) -> None:
    decoder, _ = DECODERS[kind]
    decoded(decoder, frames)
    decoded(decoder, [b"\x01" + frame for frame in frames])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@given(st.sampled_from([each.values[:2] for each in EACH]), st.data())
def test_any_value_in_any_field_is_a_message_or_refused(
    each: tuple[str, m.Message], data: st.DataObject
) -> None:
    kind, message = each
    fields = msgspec.to_builtins(message)
    name = data.draw(st.sampled_from(["is", "more", *fields]))
    fields[name] = data.draw(VALUES)
    decoded(DECODERS[kind][0], [b"\x01" + msgspec.msgpack.encode(fields)])


def test_deep_nesting_is_refused() -> None:
    deep = b"\x01\x82\xa2is\xa5hello\xa4tags" + b"\x81\xa1a" * 100_000
    assert not decoded(from_agents(), [deep])
    assert not decoded(from_agents(), [b"\x01" + b"\x91" * 100_000])


def test_what_one_kind_of_peer_says_another_may_not() -> None:
    assert not decoded(from_clients(), [header_of(MESSAGES["agents"][0])])
    assert not decoded(from_agents(), [header_of(MESSAGES["clients"][0])])


def test_an_unknown_field_is_passed_over_and_an_unknown_message_refused() -> None:
    newer = {"is": "goodbye", "reason": "a later version says why"}
    assert decoded(from_agents(), [b"\x01" + msgspec.msgpack.encode(newer)])
    assert not decoded(from_agents(), [b"\x01" + msgspec.msgpack.encode({"is": "farewell"})])


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "0 frames"),
        ([b"", b"", b""], "3 frames"),
        ([b""], "version none"),
        ([b"\x02\x81\xa2is\xa5alive"], "version 02; this is version 1"),
        ([b"\x01" + bytes(1 << 20)], "a header of 1,048,577 bytes"),
        ([b"\x01\x81\xa2is\xa5alive", bytes((1 << 26) + 1)], "a payload of 67,108,865 bytes"),
    ],
)
def test_a_refusal_says_why(frames: list[bytes], reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        from_clients().decode(frames)


# Payloads

BATCH = pa.RecordBatch.from_arrays(
    [
        column_of([1, None, 3]),
        column_of([1, "a", {"b": [1]}]),
        column_of(["x", "y", None]),
        column_of([True, None, False]),
        column_of([None, None, None]),
        list_column_of([[1, "a"], [], [2.5]]),
    ],
    ["*time", "mixed", "text", "truth", "nothing", "list"],
)


def read(payload: bytes) -> pa.RecordBatch | None:
    """The batch, if it is one; anything but a ProtocolError goes through."""
    with contextlib.suppress(ProtocolError):
        return read_batch(payload)
    return None


def stream(batch: pa.RecordBatch, *more: pa.RecordBatch, compression: str | None = None) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        for each in (batch, *more):
            writer.write_batch(each)
    return sink.getvalue().to_pybytes()


def test_a_batch_comes_back_as_it_was() -> None:
    assert read_batch(write_batch(BATCH).to_pybytes()).equals(BATCH)
    empty = BATCH.slice(0, 0)
    assert read_batch(write_batch(empty).to_pybytes()).num_rows == 0


def test_a_batch_cut_off_anywhere_is_refused() -> None:
    payload = write_batch(BATCH).to_pybytes()
    end = len(payload) - 8  # the mark of the end says nothing that is not known
    for size in range(end):
        assert read(payload[:size]) is None, size
    assert read(payload[:end]) is not None


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compressed_buffers_are_refused_before_they_are_read(compression: str) -> None:
    bomb = pa.record_batch({"a": pa.array(np.zeros(1 << 24, np.int64))})
    payload = stream(bomb, compression=compression)
    assert len(payload) < 1 << 20
    before = pa.total_allocated_bytes()
    with pytest.raises(ProtocolError, match="compressed"):
        read_batch(payload)
    assert pa.total_allocated_bytes() - before < 1 << 20


def test_more_nulls_than_anybody_needs_are_refused() -> None:
    payload = stream(pa.record_batch({"a": pa.nulls(1 << 20)}))
    assert read(payload) is not None
    for rows in (1 << 21, 1 << 40, 1 << 62, -1):
        more = payload.replace(struct.pack("<q", 1 << 20), struct.pack("<q", rows))
        with pytest.raises(ProtocolError, match=r"rows in|no record batch"):
            read_batch(more)


def test_names_that_are_no_text_or_stand_twice_are_refused() -> None:
    payload = stream(pa.record_batch({"name1": pa.array([1]), "name2": pa.array([1])}))
    assert read(payload) is not None
    assert read(payload.replace(b"name2", b"nam\xff2")) is None
    with pytest.raises(ProtocolError, match="two columns"):
        read_batch(payload.replace(b"name2", b"name1"))


def test_two_batches_are_refused() -> None:
    with pytest.raises(ProtocolError, match="more than one"):
        read_batch(stream(BATCH, BATCH))


@pytest.mark.parametrize(
    "column",
    [
        pa.array([b"x"]),
        pa.array(["x"]).dictionary_encode(),
        pa.array([1], pa.timestamp("ms")),
        pa.array([[[1]]]),
        pa.array([{"a": 1}]),
        pa.array(["x"], pa.string_view()),
        pa.array([1.5], pa.float16()),
    ],
)
def test_columns_of_other_types_are_refused(column: pa.Array) -> None:
    with pytest.raises(ProtocolError, match="a column of type"):
        read_batch(stream(pa.record_batch({"a": column})))


def test_text_that_is_no_text_is_refused() -> None:
    wrong = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(struct.pack("<ii", 0, 1)), pa.py_buffer(b"\xff")]
    )
    assert read(stream(pa.record_batch({"a": wrong}))) is None


PLACES = st.integers(0, 1 << 12)
LENGTHS = [b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\0\0\x40"]
CHANGES = st.one_of(
    st.tuples(PLACES, st.just(1), st.binary(min_size=1, max_size=1)),
    st.tuples(PLACES, st.just(4), st.sampled_from(LENGTHS)),
    st.tuples(PLACES, st.integers(1, 8), st.just(b"")),
    st.tuples(PLACES, st.just(0), st.binary(min_size=1, max_size=8)),
)


@settings(max_examples=int(os.environ.get("MQL_EXAMPLES", "150")))
@given(st.lists(CHANGES, min_size=1, max_size=5))
def test_any_changed_bytes_are_a_batch_or_refused(changes: list[tuple[int, int, bytes]]) -> None:
    payload = bytearray(write_batch(BATCH).to_pybytes())
    for place, size, new in changes:
        at = place % len(payload)
        payload[at : at + size] = new
    batch = read(bytes(payload))
    if batch is not None:
        assert batch.num_rows <= 1 << 20
        batch.to_pylist()


@given(st.binary(max_size=400))
def test_random_bytes_are_a_batch_or_refused(payload: bytes) -> None:
    read(payload)
    read(b"\xff\xff\xff\xff" + payload)


@given(st.lists(st.integers(0, 2**32 - 1)))
def test_row_numbers_come_back_as_they_were(numbers: list[int]) -> None:
    data = write_rows(np.array(numbers, np.int64))
    assert read_rows(data, 2**32).tolist() == numbers


@given(st.binary(max_size=40), st.integers(0, 10))
def test_row_numbers_are_those_of_rows_or_refused(data: bytes, size: int) -> None:
    with contextlib.suppress(ProtocolError):
        assert all(0 <= row < size for row in read_rows(data, size).tolist())


# The ledger

COUNTS = st.integers(0, 2**40)
TALLIES = st.builds(Tally, st.just(0), *[COUNTS] * 8)


@given(TALLIES, TALLIES)
def test_tallies_add_up(one: Tally, other: Tally) -> None:
    total = one + other
    assert total.seen == one.seen + other.seen
    assert total.dropped == one.dropped + other.dropped
    parts = total.sampled_out + total.filtered_out + total.shipped + total.dropped
    assert total.seen == parts


def test_an_answer_is_exact_only_if_nothing_is_missing() -> None:
    all_there = Completeness(0, 1000, expected=2, reported=2, tally=Tally(0, shipped=5))
    sampled = msgspec.structs.replace(all_there, rate=0.5)
    unsure = msgspec.structs.replace(all_there, clock_ms=11)
    for whole in (all_there, msgspec.structs.replace(all_there, partial=True, covered_ms=1)):
        assert whole.exactness is Exactness.EXACT
    for estimated in (sampled, unsure):
        assert estimated.exactness is Exactness.ESTIMATE
    for lack in (
        {"reported": 1, "missing": ("a@b",)},
        {"reported": 1, "refused": ("a@b",)},
        {"tally": Tally(0, shipped=5, buffer=1)},
        {"transit": 1},
        {"late": 1},
        {"no_time": 1},
        {"unseen": 1},
        {"subscriber": 1},
        {"expected": 0, "reported": 0},
    ):
        for known in (all_there, sampled, unsure):
            less = msgspec.structs.replace(known, **lack)
            assert less.exactness is Exactness.LOWER_BOUND, lack
    assert not all_there.silent
    assert Completeness(0, 1000).silent


@pytest.mark.parametrize(
    ("share", "known"),
    [
        (1.0, {}),
        (0.0, {"expected": 0, "reported": 0}),
        (0.666, {"reported": 2, "missing": ("a@b",)}),
        (0.25, {"partial": True, "covered_ms": 250}),
        (0.9, {"tally": Tally(0, shipped=900, buffer=100)}),
        (1.0, {"tally": Tally(0, shipped=5, budget=995), "rate": 0.005}),
        (0.5, {"tally": Tally(0, shipped=4), "transit": 4}),
        (0.8, {"tally": Tally(0, shipped=4), "unseen": 1}),
        (0.75, {"tally": Tally(0, shipped=4), "late": 1}),
        (0.75, {"tally": Tally(0, shipped=4), "no_time": 1}),
        (0.0, {"tally": Tally(0, shipped=1), "late": 3}),
        (0.999, {"tally": Tally(0, shipped=99_999, failed=1)}),
        (
            0.3,
            {"partial": True, "covered_ms": 500, "reported": 2, "tally": Tally(0, 9, upstream=1)},
        ),
    ],
)
def test_the_share_is_covered_time_by_agents_by_events_kept(
    share: float, known: dict[str, object]
) -> None:
    all_there = Completeness(0, 1000, expected=3, reported=3)
    assert msgspec.structs.replace(all_there, **known).share == share


# The page that describes it all

PAGE = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"```json (\w+)\n(.*?)\n```\n\n```hex\n(.*?)\n```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("who", "text", "hexadecimal"), SHOWN)
def test_the_page_shows_messages_as_they_are(who: str, text: str, hexadecimal: str) -> None:
    decoder = {"agent": from_agents(), "job": to_agents()}[who]
    message, _ = decoder.decode([bytes.fromhex(hexadecimal)])
    assert msgspec.json.encode(message).decode() == text
    assert header_of(message) == bytes.fromhex(hexadecimal)


def test_the_page_shows_a_payload_as_it_is() -> None:
    assert len(SHOWN) == 8
    (payload,) = re.findall(r"```hex payload\n(.*?)\n```", PAGE, re.DOTALL)
    rows = read_batch(bytes.fromhex(payload)).to_pylist()
    assert rows == [{"*time": 1_700_000_001_200, "path": "/pay"}]


def test_the_page_names_every_message_and_field() -> None:
    described = set(re.findall(r"`(\w+)`", PAGE))
    for _, union in DECODERS.values():
        for kind in union.__args__:
            info = msgspec.structs.fields(kind)
            names = {kind.__struct_config__.tag, *(field.encode_name for field in info)}
            assert names <= described, names - described
    for struct_ in (m.Part, m.QueryCost, m.StreamSeen, m.FieldSeen, Tally, Completeness):
        names = {field.encode_name for field in msgspec.structs.fields(struct_)}
        assert names <= described, names - described
