"""Log lines: JSON for machines, or text for people; what is audited goes where it is kept.

The audit has a line for each query when it starts and when it ends, and one for each of its
readers: who asked what, and how many rows went out to whom.
"""

from __future__ import annotations

import logging
import logging.handlers
import sys
import time
from pathlib import Path

import msgspec

from source_jobs.api.feed import Feed

AUDIT = logging.getLogger("mql.audit")
ACCESS = logging.getLogger("mql.http")

_FIELDS = "fields"
"""The attribute of a log record that holds a line's data."""


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message, and the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "at": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


class TextFormatter(logging.Formatter):
    """A record as one line for people; its fields as `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = getattr(record, _FIELDS, {})
        told = [
            f"{name}={_word(value)}" for name, value in fields.items() if value not in {"", None}
        ]
        line = " ".join([_utc(record.created), record.getMessage(), *told])
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up(*, as_json: bool, audit: Path | None) -> None:
    """Send all logs to standard error, and the audit to its file, if it has one.

    A file that is moved away, as log rotation does, is made anew. Raises OSError.
    """
    formatter = JsonFormatter() if as_json else TextFormatter()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    AUDIT.setLevel(logging.INFO)
    ACCESS.setLevel(logging.INFO if as_json else logging.WARNING)
    if audit is not None:
        file = logging.handlers.WatchedFileHandler(audit, encoding="utf-8")
        audit.chmod(0o600)
        file.setFormatter(JsonFormatter())
        AUDIT.addHandler(file)
        AUDIT.propagate = False


def audit_query(what: str, feed: Feed) -> None:
    """Write the audit's line about a query that has `started` or `ended`."""
    fields: dict[str, object] = {
        "caller": feed.caller.name,
        "peer": feed.peer,
        "query": feed.question.text,
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
    AUDIT.info("query %s", what, extra={_FIELDS: fields})


def audit_reading(feed: Feed, caller: str, peer: str, form: str, rows: int, size: int) -> None:
    """Write the audit's line about a reader who has gone: what went out to it."""
    fields = {
        "caller": caller,
        "peer": peer,
        "query": feed.question.text,
        "id": feed.id,
        "number": feed.opening.query,
        "format": form,
        "rows": rows,
        "bytes": size,
    }
    AUDIT.info("query read", extra={_FIELDS: fields})


def log_request(fields: dict[str, object], status: int) -> None:
    """Write a request's line."""
    level = logging.ERROR if status >= 500 else logging.INFO  # noqa: PLR2004
    ACCESS.log(level, "request", extra={_FIELDS: fields})


def _utc(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds * 1000) % 1000:03d}Z"


def _word(value: object) -> str:
    """A value as one word, so that nobody's text makes lines of its own."""
    text = str(value)
    plain = text.isprintable() and not set(text) & set(" \"'=")
    return text if plain else msgspec.json.encode(text).decode()
