"""The API's description, as OpenAPI 3.1: a table of operations, and schemas made of the types."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

import mql
from mql.warnings.record import QueryWarning
from source_jobs.api.bodies import Ask, Text
from source_jobs.api.errors import ErrorBody

Json = dict[str, Any]
_STREAM = {
    media_type: {"schema": {"type": "string"}}
    for media_type in (
        "text/event-stream",
        "application/x-ndjson",
        "application/vnd.apache.arrow.stream",
        "application/vnd.mql.frames",
    )
}
_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_HTML = {"text/html": {"schema": {"type": "string"}}}
_OBJECT = {"application/json": {"schema": {"type": "object"}}}
_CHECKED = {"application/json": {"schema": {"$ref": "#/components/schemas/Checked"}}}
_ID: Json = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_AFTER: Json = {
    "name": "after",
    "in": "query",
    "description": "The number of the last event that was read, as Last-Event-ID.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
}
_PAGE: tuple[Json, ...] = (
    {
        "name": "after",
        "in": "query",
        "description": "What the page before said as `after`.",
        "schema": {"type": "string", "maxLength": 1_000},
    },
    {
        "name": "limit",
        "in": "query",
        "description": "At most so many; 0: as many as a page holds.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 999_999},
    },
    {
        "name": "brief",
        "in": "query",
        "description": "1 leaves out fields and lists.",
        "schema": {"type": "string", "enum": ["0", "1"]},
    },
)
_LEDGER: Json = {
    "name": "ledger",
    "in": "query",
    "description": "1 adds a line `_ledger` to NDJSON for each window or second.",
    "schema": {"type": "string", "enum": ["0", "1"]},
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `errors` are the statuses that it may refuse with."""

    method: str
    path: str
    summary: str
    content: Json | None = None
    status: int = 200
    body: str | None = None
    parameters: tuple[Json, ...] = ()
    errors: tuple[int, ...] = (401, 403, 429, 503)
    also: tuple[int, ...] = ()


OPERATIONS = (
    Operation("get", "/", "The page.", _HTML, errors=(403,)),
    Operation("get", "/healthz", "The server runs.", _TEXT, errors=()),
    Operation("get", "/readyz", "The source job answers.", _TEXT, errors=(503,)),
    Operation("get", "/metrics", "Metrics for Prometheus.", _TEXT, errors=(401, 403, 406, 429)),
    Operation("get", "/api/openapi.json", "This document.", _OBJECT, errors=(403,)),
    Operation("get", "/api/language", "The words of MQL.", _OBJECT, errors=(401, 403, 429)),
    Operation(
        "get", "/api/streams", "Streams, and fields seen in them.", _OBJECT,
        parameters=_PAGE, errors=(400, 401, 403, 429, 503),
    ),
    Operation(
        "get", "/api/agents", "Agents.", _OBJECT,
        parameters=_PAGE, errors=(400, 401, 403, 429, 503),
    ),
    Operation("get", "/api/metrics", "Sums over all queries.", _OBJECT),
    Operation(
        "post", "/api/check", "Whether a query can run.", _CHECKED,
        body="Text", errors=(400, 401, 403, 408, 413, 415, 429, 503),
    ),
    Operation(
        "post", "/api/explain", "What becomes of a query.", _OBJECT,
        body="Text", errors=(400, 401, 403, 408, 413, 415, 422, 429, 503),
    ),
    Operation(
        "get", "/api/queries", "The queries that run.", _OBJECT,
        parameters=_PAGE, errors=(400, 401, 403, 429, 503),
    ),
    Operation(
        "post", "/api/queries", "Run a query.", _OBJECT, status=201,
        body="Ask", errors=(400, 401, 403, 408, 413, 415, 422, 429, 503),
    ),
    Operation(
        "get", "/api/queries/{id}", "One query.", _OBJECT,
        parameters=(_ID,), errors=(401, 403, 404, 429),
    ),
    Operation(
        "delete", "/api/queries/{id}", "End a query.", None, status=204,
        parameters=(_ID,), errors=(401, 403, 404, 429, 503),
    ),
    Operation(
        "get", "/api/queries/{id}/events", "The answer, as it comes.", _STREAM,
        parameters=(_ID, _AFTER, _LEDGER), errors=(400, 401, 403, 404, 406, 429, 503), also=(204,),
    ),
    Operation(
        "get", "/api/stream", "A query and its answer in one.", _STREAM,
        parameters=(
            {"name": "q", "in": "query", "required": True, "schema": {"type": "string"}},
            {"name": "ttl_ms", "in": "query", "schema": {"type": "integer", "minimum": 1}},
            {"name": "group", "in": "query", "schema": {"type": "string"}},
            {"name": "time", "in": "query", "schema": {"type": "string"}},
            {"name": "lateness_ms", "in": "query", "schema": {"type": "integer", "minimum": 0}},
            _LEDGER,
        ),
        errors=(400, 401, 403, 406, 413, 422, 429, 503),
    ),
    Operation(
        "get", "/api/trace", "One value through several streams, as one timeline.", _STREAM,
        parameters=(
            {
                "name": "follow", "in": "query", "required": True, "explode": True,
                "description": "STREAM.PROPERTY=VALUE, once for each stream.",
                "schema": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            },
            {"name": "ttl_ms", "in": "query", "schema": {"type": "integer", "minimum": 1}},
        ),
        errors=(400, 401, 403, 406, 413, 422, 429, 503),
    ),
)  # fmt: skip


@cache
def document() -> bytes:
    """The document as JSON."""
    _, schemas = msgspec.json.schema_components(
        (Ask, Text, ErrorBody, QueryWarning), ref_template="#/components/schemas/{name}"
    )
    paths: Json = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "MQL",
                "version": mql.__version__,
                "description": "Ask running services, and follow the answers.",
            },
            "paths": paths,
            "components": {
                "schemas": {**schemas, "Error": _ERROR, "Checked": _CHECK},
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
            "security": [{}, {"token": []}],
        }
    )


_CHECK: Json = {
    "type": "object",
    "required": ["ok"],
    "properties": {
        "ok": {"type": "boolean"},
        "error": {"$ref": "#/components/schemas/ErrorBody"},
        "streams": {"type": "array", "items": {"type": "string"}},
        "columns": {"type": "array", "items": {"type": "object"}},
        "windowed": {"type": "boolean"},
        "warnings": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/QueryWarning"},
        },
    },
}
"""Whether a query can run: with `error` if not, with the others if it can."""

_ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"$ref": "#/components/schemas/ErrorBody"}},
}


def _described(operation: Operation) -> Json:
    good: Json = {"description": operation.summary}
    if operation.content is not None:
        good["content"] = operation.content
    responses: Json = {str(operation.status): good}
    responses |= {str(status): {"description": "Nothing more comes."} for status in operation.also}
    responses |= {str(status): _refusal(status, operation) for status in operation.errors}
    made: Json = {
        "summary": operation.summary,
        "operationId": f"{operation.method} {operation.path}",
        "responses": responses,
    }
    if operation.parameters:
        made["parameters"] = list(operation.parameters)
    if operation.body:
        schema = {"$ref": f"#/components/schemas/{operation.body}"}
        content = {"application/json": {"schema": schema}}
        made["requestBody"] = {"required": True, "content": content}
    return made


def _refusal(status: int, operation: Operation) -> Json:
    if operation.path == "/readyz":
        return {"description": "No source job.", "content": _TEXT}
    schema = {"$ref": "#/components/schemas/Error"}
    return {
        "description": f"Refused: {status}.",
        "content": {"application/json": {"schema": schema}},
    }
