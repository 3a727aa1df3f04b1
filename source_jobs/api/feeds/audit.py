"""The audit: who asked what, and how many rows went out to whom.

It has a line for each query when it starts and when it ends, and one for each of its readers.
"""

from __future__ import annotations

import time

from source_jobs.api.feeds.feed import Feed
from source_jobs.api.telemetry.logs import AUDIT, FIELDS


def audit_query(what: str, feed: Feed) -> None:
    """Write the audit's line about a query that has `started` or `ended`."""
    fields: dict[str, object] = {
        "caller": feed.caller.name,
        "peer": feed.peer,
        "query": feed.outline.text,
        "id": feed.id,
        "number": feed.opening.query,
    }
    if feed.closing is not None:
        fields |= {
            "rows": feed.replay.rows,
            "lasted_ms": time.time_ns() // 1_000_000 - feed.created_ms,
            "reason": feed.closing.reason,
            "failed": feed.closing.failed,
        }
    AUDIT.info("query %s", what, extra={FIELDS: fields})


def audit_reading(feed: Feed, caller: str, peer: str, form: str, rows: int, size: int) -> None:
    """Write the audit's line about a reader who has gone: what went out to it."""
    fields = {
        "caller": caller,
        "peer": peer,
        "query": feed.outline.text,
        "id": feed.id,
        "number": feed.opening.query,
        "format": form,
        "rows": rows,
        "bytes": size,
    }
    AUDIT.info("query read", extra={FIELDS: fields})
