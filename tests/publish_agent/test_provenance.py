"""`e['_agent']` is what the agent says of itself, whatever events say."""

from __future__ import annotations

import pytest

from publish_agent.settings import Settings
from tests.publish_agent.support import ALL, Bench


def bench() -> Bench:
    return Bench(
        Settings(service="checkout", host="h1", version="2.0", tags={"zone": "eu", "tier": "web"})
    )


@pytest.mark.parametrize(
    ("where", "passes"),
    [
        ("e['_agent']['service'] == 'checkout'", True),
        ("e['_agent']['service'] == 'other'", False),
        ("e['_agent']['tags']['zone'] in ('eu', 'us') and a == 1", True),
        ("e['_agent']['pid'] == 42", True),
        ("e['_agent']['version'] like '2%'", True),
        ("e['_agent'][*] == 'h1'", True),
        ("e['_agent']['forged'] == 1", False),
        ("e['_agent'] != null", True),
    ],
)
def test_conditions_see_the_agent(where: str, passes: bool) -> None:  # noqa: FBT001
    b = bench()
    b.subscribe(1, f"{ALL} where {where}")
    b.publish({"a": 1, "_agent": {"forged": 1, "service": "forged"}})
    b.settle()
    assert b.got().total.shipped == passes


def test_columns_see_the_agent_and_the_whole_event_stays_as_it_was() -> None:
    b = bench()
    b.subscribe(1, "select *, e['_agent']['service'] as service, e['_agent'] as whole from s")
    event = {"a": 1, "_agent": "mine"}
    b.publish(event, {"a": 2})
    b.settle()
    assert b.got().events == [event, {"a": 2}]
    assert [row["e['_agent']['service']"] for row in b.got().rows] == ["checkout"] * 2
    assert b.got().rows[0]["_agent"] == {
        "service": "checkout",
        "host": "h1",
        "version": "2.0",
        "pid": 42,
        "tags": {"zone": "eu", "tier": "web"},
    }
