"""Why a request is not done: an HTTP status, and the same shape of JSON for all of them."""

from __future__ import annotations

import msgspec

from mql.errors import MQLError, QueryError
from source_jobs.client.actions import AwayError


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong. Of a query also where: 1-based line and column, and offsets in its text."""

    kind: str
    message: str
    line: int | None = None
    column: int | None = None
    start: int | None = None
    end: int | None = None
    hint: str = ""


class Refusal(Exception):  # noqa: N818 - it is what it says
    """A request that is not done."""

    def __init__(
        self, status: int, error: ErrorBody, headers: dict[str, str] | None = None
    ) -> None:
        self.status = status
        self.error = error
        self.headers = headers or {}
        super().__init__(error.message)

    def json(self) -> bytes:
        """The body."""
        return msgspec.json.encode({"error": self.error})


_KINDS = {
    400: "request",
    401: "token",
    403: "forbidden",
    404: "not found",
    405: "method",
    406: "accept",
    408: "too slow",
    409: "over",
    413: "too large",
    415: "content type",
    422: "query",
    429: "limit",
    503: "limit",
}


def refuse(status: int, message: str, headers: dict[str, str] | None = None) -> Refusal:
    """A refusal in words."""
    return Refusal(status, ErrorBody(_KINDS.get(status, "error"), message), headers)


def wrong_query(error: QueryError) -> Refusal:
    """A query that cannot run, and where it is wrong."""
    return Refusal(422, query_error(error))


def query_error(error: QueryError) -> ErrorBody:
    """The message of a wrong query as data."""
    return ErrorBody(
        "query",
        error.reason,
        line=error.line,
        column=error.column,
        start=error.span.start,
        end=error.span.end,
        hint=error.hint,
    )


def from_source_job(error: MQLError) -> Refusal:
    """What the source job refused, or that it is not there: then its kind is `source job`."""
    match error:
        case QueryError():
            return wrong_query(error)
        case AwayError():
            return Refusal(503, ErrorBody("source job", str(error)))
        case _:
            return refuse(503, str(error))
