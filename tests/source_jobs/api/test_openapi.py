"""The API does what its description says, whatever it is sent: schemathesis tries."""

from __future__ import annotations

import os

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from source_jobs.api.app import ROUTES
from source_jobs.api.routes.openapi import OPERATIONS
from tests.source_jobs.api.support import Asker

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = max(5, int(os.environ.get("MQL_EXAMPLES", "100")) // 20)


def test_any_request_is_answered_as_described(asker: Asker) -> None:
    schema = schemathesis.openapi.from_url(f"{asker.url}/api/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= len(OPERATIONS) - 1  # it leaves out its own source
    for operation in operations:

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS, timeout=10)

        check()


def test_the_description_names_every_route() -> None:
    described = {(each.method.upper(), each.path) for each in OPERATIONS}
    served = {
        (method, route.path)
        for route in ROUTES
        for method in getattr(route, "methods", None) or ()
        if method != "HEAD" and not route.path.startswith("/page/")
    }
    assert described == served
