"""Log lines: JSON for machines, or text for people."""

from __future__ import annotations

import logging
import logging.handlers
import sys
import time
from pathlib import Path

import msgspec

AUDIT = logging.getLogger("mql.audit")
ACCESS = logging.getLogger("mql.http")

FIELDS = "fields"
"""The attribute of a log record that holds a line's data."""

_SELDOM_S = 60.0


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message, and the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "at": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


class TextFormatter(logging.Formatter):
    """A record as one line for people; its fields as `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = getattr(record, FIELDS, {})
        told = [
            f"{name}={_word(value)}" for name, value in fields.items() if value not in {"", None}
        ]
        line = " ".join([_utc(record.created), record.getMessage(), *told])
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class Seldom(logging.Filter):
    """Says the same once a minute, however often it happens; also as a filter of log records."""

    def __init__(self) -> None:
        super().__init__()
        self._said_s: dict[str, float] = {}

    def says(self, what: str) -> bool:
        """Whether to say it now; `what` is one of a few texts of our own."""
        now_s = time.monotonic()
        if now_s - self._said_s.get(what, -_SELDOM_S) < _SELDOM_S:
            return False
        self._said_s[what] = now_s
        return True

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written; its text is that before its arguments are filled in."""
        return self.says(str(record.msg))


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


def log_request(fields: dict[str, object], status: int) -> None:
    """Write a request's line."""
    level = logging.ERROR if status >= 500 else logging.INFO  # noqa: PLR2004
    ACCESS.log(level, "request", extra={FIELDS: fields})


def _utc(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds * 1000) % 1000:03d}Z"


def _word(value: object) -> str:
    """A value as one word, so that nobody's text makes lines of its own."""
    text = str(value)
    plain = text.isprintable() and not set(text) & set(" \"'=")
    return text if plain else msgspec.json.encode(text).decode()
