"""Survivors to messages: an event that several queries want crosses the wire once.

Queries of one source job that ship the same fields, with the same time, share payloads: the union
of their rows, and for each query which of those are its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import distinct, to_numpy
from mql.columnar.kinds import is_null
from mql.columnar.layout import EVENT, TIME, Ints
from mql.columnar.read import plain
from mql.language.syntax import Property
from mql.planner.fields import Fields
from mql.wire.payload import write_batch, write_rows
from publish_agent.drain.plan.agent_plan import columns_of
from publish_agent.drain.subscription import Running, Survivors
from publish_agent.drain.verify import Catch

MAX_PAYLOAD = 1 << 20
"""Bytes of a payload; only a single event may be longer."""

_FEW = 100
"""Rows of which only their payload tells how long they are; to ask columns takes as long."""

MAX_NUMBERS = 1 << 19
"""Bytes of row numbers in one message."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one query has of a payload: its rows (None: all), and their times."""

    running: Running
    rows: bytes | None
    times: Ints


@dataclass(frozen=True, slots=True)
class Load:
    """A payload for some queries of one link; each event in it stands for `weight`."""

    link: int
    payload: bytes
    shares: tuple[Share, ...]
    weight: int = 1


def pack(catch: Catch, now_ms: int) -> Iterator[Load]:
    """The payloads of a drain. Rows without a time are counted at `now_ms`."""
    groups: dict[tuple[int, Fields, Property | None], list[tuple[Running, Survivors]]] = {}
    for running, survivors in catch.wanted:
        key = running.link, running.ships, running.time
        groups.setdefault(key, []).append((running, survivors))
    for (link, ships, _), wanted in groups.items():
        for payload, shares in _pack_group(catch.batch, ships, wanted, now_ms):
            yield Load(link, payload, shares, catch.weight)


def _pack_group(
    batch: pa.RecordBatch,
    ships: Fields,
    wanted: list[tuple[Running, Survivors]],
    now_ms: int,
) -> Iterator[tuple[bytes, tuple[Share, ...]]]:
    union = wanted[0][1].rows
    if len(wanted) > 1:
        union = distinct(np.concatenate([survivors.rows for _, survivors in wanted]))
    payload = _payload(batch, ships, union, wanted)
    known = [_known(survivors.times, now_ms) for _, survivors in wanted]
    for start, part, data in _cut(payload):
        inside = union[start : start + part]
        shares = []
        for (running, survivors), times in zip(wanted, known, strict=True):
            first, last = np.searchsorted(survivors.rows, [inside[0], inside[-1] + 1]).tolist()
            if first == last:
                continue
            mine = survivors.rows[first:last]
            rows = None
            if len(mine) < len(inside):
                rows = write_rows(np.searchsorted(inside, mine))
            shares.append(Share(running, rows, times[first:last]))
        for some in _few(shares):
            yield data, some


def _payload(
    batch: pa.RecordBatch, ships: Fields, union: Ints, wanted: list[tuple[Running, Survivors]]
) -> pa.RecordBatch:
    names = dict.fromkeys((*columns_of(ships), *((EVENT,) if ships.event else ())))
    columns = batch.select(list(names))
    if len(union) < batch.num_rows:
        columns = kernels.take(columns, union)
    arrays = map(plain, columns.columns)
    times = wanted[0][1].times
    if len(times) < len(union):
        rows = np.concatenate([survivors.rows for _, survivors in wanted])
        every = pa.concat_arrays([survivors.times for _, survivors in wanted])
        _, firsts = np.unique(rows, return_index=True)
        times = kernels.take(every, firsts)
    return pa.RecordBatch.from_arrays([times, *arrays], [TIME, *names])


def _known(times: pa.Array, now_ms: int) -> Ints:
    """Times as numbers, `now_ms` where there is none."""
    if not times.null_count:
        known: Ints = to_numpy(times)
        return known
    return np.where(is_null(times), now_ms, to_numpy(kernels.fill_null(times, 0)))


def _cut(batch: pa.RecordBatch) -> Iterator[tuple[int, int, bytes]]:
    """The batch as payloads that are short enough: the first row, how many, and the bytes."""
    pending = [(0, batch.num_rows)]
    while pending:
        start, size = pending.pop()
        part = batch if size == batch.num_rows else batch.slice(start, size)
        if size > _FEW and part.nbytes > MAX_PAYLOAD:
            half = size // 2
            pending += [(start + half, size - half), (start, half)]
            continue
        data = write_batch(part).to_pybytes()
        if size > 1 and len(data) > MAX_PAYLOAD:
            half = size // 2
            pending += [(start + half, size - half), (start, half)]
            continue
        yield start, size, data


def _few(shares: list[Share]) -> Iterator[tuple[Share, ...]]:
    """Shares whose row numbers fit into one message."""
    some: list[Share] = []
    size = 0
    for share in shares:
        some.append(share)
        size += len(share.rows or b"") + 128
        if size > MAX_NUMBERS:
            yield tuple(some)
            some, size = [], 0
    if some:
        yield tuple(some)
