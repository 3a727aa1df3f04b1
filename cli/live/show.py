"""`mql streams`, `agents`, `queries`, `cancel`, `explain --live`: what a source job knows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

import click

from cli.live.connection import Connection
from cli.live.records import Record, format_for, write_records
from cli.output.table import utc
from cli.terminal import complain, tell, tell_text

if TYPE_CHECKING:
    from source_jobs.client import Client, HttpClient

MEASURE_S = 3.3
"""Agents tell the cost once a second, so at least two seconds of it are shown."""

Shape = Callable[[Record], Iterable[Record]]


def show(what: str, connection: Connection, output: str | None) -> int:
    """Show `streams`, `agents` or `queries`. Returns the exit code. Raises MQLError."""
    try:
        kind = format_for(output)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with connection.open() as client:
        ask = {"streams": client.streams, "agents": client.agents, "queries": client.queries}[what]
        found = ask()
    if kind == "table":
        found = [row for record in found for row in SHAPES[what](record)]
    write_records(kind, found, COLUMNS[what] if kind == "table" else ())
    return 0


def cancel(number: int, connection: Connection) -> int:
    """End a query for all who asked it. Returns the exit code. Raises MQLError."""
    with connection.open() as client:
        client.cancel(number)
    tell(f"query {number} is cancelled")
    return 0


def explain_live(text: str, connection: Connection) -> int:
    """Show what agents do with a query, which runs for some time to be measured.

    The figures count from the query's beginning, which is earlier where somebody else runs it: what
    has passed and what was shipped are counted at different moments, so the difference of two
    readings may show more shipped than passed. Returns the exit code. Raises MQLError.
    """
    connection.question(text)
    with connection.open() as client, client.subscribe(text) as answer:
        for warning in answer.warnings:
            complain(warning)
        _read_for(client, answer.get, MEASURE_S)
        explained = client.explain(text)
    tell_text(str(explained.get("plan", "")))
    start_ms = explained.get("start_ms")
    since = f", at {utc(start_ms, '%H:%M:%S')} UTC" if isinstance(start_ms, int) else ""
    tell("", f"as measured in the agents, since the query began{since}:")
    rows = [_cost_row(agent) for agent in _asked(explained)]
    write_records("table", rows, _COST)
    return 0


def _asked(explained: Record) -> list[Record]:
    return cast("list[Record]", explained.get("agents") or [])


def _read_for(client: Client | HttpClient, get: Callable[[float], object], seconds: float) -> None:
    """Take the answer and throw it away, so that agents go on."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and client.connected:
        get(left)


COLUMNS = {
    "streams": ("stream", "rate", "agents", "services", "field", "kinds", "example"),
    "agents": (
        "service", "host", "version", "pid", "state", "streams", "lag_ms", "offset_ms",
        "dropped", "rate", "queries", "tags",
    ),
    "queries": ("query", "users", "runs", "agents", "rows", "cpu_ms", "sent", "text"),
}  # fmt: skip
"""What the tables show; NDJSON has all there is, as docs/protocol.md says."""

_COST = (
    "agent",
    "state",
    "screen",
    "tested",
    "passed",
    "shipped",
    "share",
    "rate",
    "cpu_us",
    "sent",
)


def _stream_rows(stream: Record) -> Iterable[Record]:
    """A row for the stream with its first field, and one for each other field."""
    head: Record = {
        "stream": stream.get("stream"),
        "rate": _rate(stream.get("rate")),
        "agents": stream.get("agents"),
        "services": _joined(stream.get("services")),
    }
    fields = cast("list[Record]", stream.get("fields") or [{}])
    for field in fields:
        yield {
            **head,
            "field": field.get("path"),
            "kinds": _joined(field.get("kinds")),
            "example": field.get("example"),
        }
        head = dict.fromkeys(head)


def _agent_rows(agent: Record) -> Iterable[Record]:
    tags = cast("dict[str, object]", agent.get("tags") or {})
    yield {
        **{name: agent.get(name) for name in COLUMNS["agents"]},
        "state": "gone" if agent.get("gone") else "connected",
        "rate": _percent(agent.get("rate")),
        "streams": _joined(agent.get("streams")),
        "queries": len(cast("list[object]", agent.get("queries") or [])),
        "tags": ", ".join(f"{key}={value}" for key, value in tags.items()),
    }


def _query_rows(query: Record) -> Iterable[Record]:
    agents = cast("list[Record]", query.get("agents") or [])
    costs = [_cost(agent) for agent in agents]
    start_ms = query.get("start_ms")
    yield {
        "query": query.get("query"),
        "users": _joined(query.get("users")),
        "runs": f"since {utc(start_ms, '%H:%M:%S')}" if isinstance(start_ms, int) else None,
        "agents": len({agent.get("agent") for agent in agents}),
        "rows": query.get("rows"),
        "cpu_ms": sum(cost.get("spent_ns", 0) for cost in costs) / 1e6,
        "sent": _bytes(sum(cost.get("sent_bytes", 0) for cost in costs)),
        "text": query.get("text"),
    }


def _cost_row(agent: Record) -> Record:
    cost = _cost(agent)
    tested, passed, shipped, spent_ns, sent = (
        cost.get(name, 0) for name in ("tested", "candidates", "shipped", "spent_ns", "sent_bytes")
    )
    state, reason = agent.get("state"), agent.get("reason")
    return {
        "agent": agent.get("name"),
        "state": f"{state}: {reason}" if reason else state,
        "screen": cost.get("screen", ""),
        "tested": tested,
        "passed": passed,
        "shipped": shipped,
        "share": f"{shipped / tested:.2%}" if tested else "",
        "rate": _percent(agent.get("rate")),
        "cpu_us": spent_ns / 1e3,
        "sent": _bytes(sent),
    }


def _cost(agent: Record) -> dict[str, Any]:
    return cast("dict[str, Any]", agent.get("cost") or {})


def _joined(values: object) -> str:
    return ", ".join(map(str, values)) if isinstance(values, list) else str(values or "")


def _rate(value: object) -> str:
    return f"{value:,.1f}/s" if isinstance(value, int | float) else ""


def _percent(share: object) -> str:
    """A share for people.

    >>> _percent(1.0), _percent(0.05), _percent(1 / 3)
    ('100%', '5%', '33.3%')
    """
    return f"{share * 100:.3g}%" if isinstance(share, int | float) else ""


def _bytes(size: float) -> str:
    """A size for people.

    >>> _bytes(12), _bytes(34_500), _bytes(2_000_000)
    ('12 B', '34.5 kB', '2.0 MB')
    """
    for unit in ("B", "kB", "MB"):
        if size < 1000:  # noqa: PLR2004 - where the next unit begins
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


SHAPES: dict[str, Shape] = {
    "streams": _stream_rows,
    "agents": _agent_rows,
    "queries": _query_rows,
}
"""How a record becomes rows of its table."""
