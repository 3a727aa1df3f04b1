"""Settings: arguments beat the environment, and what makes no sense is a ValueError that helps."""

from __future__ import annotations

from pathlib import Path

import pytest
import zmq
import zmq.auth

from publish_agent import Agent
from publish_agent.runtime.keys import read_keys
from publish_agent.settings import Settings, read_settings


def settings(environment: dict[str, str], **arguments: object) -> Settings:
    given = {
        "service": None, "source_jobs": None, "version": None, "tags": None, "redact": None,
        "host": "h", **arguments,
    }  # fmt: skip
    return read_settings(environment, **given)  # type: ignore[arg-type]


ENVIRONMENT = {
    "MQL_SERVICE": "from-env",
    "MQL_SOURCE_JOBS": "tcp://a:1, tcp://[::1]:2,",
    "MQL_TAGS": "zone=eu-1, tier=web=2",
    "MQL_REDACT": "password, *token*",
    "MQL_VERSION": "9",
    "MQL_DISABLED": "1",
    "MQL_CPU_SHARE": "0.1",
    "MQL_MEMORY": "8388608",
    "MQL_BYTES_PER_S": "1000",
}


def test_the_environment_says_what_arguments_do_not() -> None:
    made = settings(ENVIRONMENT)
    assert made.service == "from-env"
    assert made.source_jobs == ("tcp://a:1", "tcp://[::1]:2")
    assert dict(made.tags) == {"zone": "eu-1", "tier": "web=2"}
    assert made.redact == ("password", "*token*")
    assert made.version == "9"
    assert made.disabled
    assert (made.cpu_share, made.memory, made.bytes_per_s) == (0.1, 8 * 1024 * 1024, 1000)


def test_arguments_beat_the_environment() -> None:
    made = settings(
        ENVIRONMENT,
        service="mine",
        source_jobs="tcp://b:3",
        tags={"zone": "us"},
        redact=[],
        buffer_events=5,
        cpu_share=2,
    )
    assert (made.service, made.source_jobs, made.redact) == ("mine", ("tcp://b:3",), ())
    assert dict(made.tags) == {"zone": "us", "tier": "web=2"}
    assert made.buffer_events == 5
    assert made.cpu_share == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "MQL_SERVICE"),
        ({"service": "x", "source_jobs": ["localhost:7766"]}, "tcp://127.0.0.1:7766"),
        ({"service": "x", "source_jobs": ["tcp://h:99999"]}, "address"),
        ({"service": "x", "source_jobs": []}, "no source jobs"),
        ({"service": "x", "source_jobs": 5}, "source_jobs is a list of texts"),
        ({"service": "x", "source_jobs": [5]}, "source_jobs is a list of texts"),
        *(
            ({"service": "x", "source_jobs": [f"tcp://{host}:7766"]}, "is no address")
            for host in ("*", "\ud800", "a\0b", "a" * 70_000, "a..b", "eth0;127.0.0.1", "-" * 64)
        ),
        ({"service": "x", "redact": [5]}, "redact is a list of texts"),
        ({"service": "x", "tags": [1]}, "tags are names and values"),
        ({"service": "x", "memory": 10**30}, "memory is a whole number"),
        ({"service": "x", "redact": "password"}, "list"),
        ({"service": "x", "redact": ["e['a'"]}, "path"),
        ({"service": "x", "buffer_events": 0}, "buffer_events"),
        ({"service": "x", "memory": 1000}, "memory is a whole number from 1,048,576 to"),
        ({"service": "x", "bytes_per_s": 0.5}, "bytes_per_s"),
        ({"service": "x", "cpu_share": 0}, "cpu_share is a part of a core"),
        ({"service": "x", "cpu_share": float("nan")}, "cpu_share"),
        ({"service": "x", "cpu_share": "5%"}, "cpu_share"),
        ({"service": "x", "tags": {"a": 3}}, "tag 'a'"),
        ({"service": "x" * 300}, "200 characters"),
        ({"service": "\ud800"}, "Unicode"),
        ({"service": "x", "key": "k"}, "go together"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        settings({}, **arguments)


def test_tags_without_a_value_are_refused() -> None:
    with pytest.raises(ValueError, match="zone=eu-1"):
        settings({"MQL_SERVICE": "x", "MQL_TAGS": "zone"})


@pytest.mark.parametrize("variable", ["MQL_CPU_SHARE", "MQL_MEMORY", "MQL_BYTES_PER_S"])
def test_a_budget_that_is_no_number_is_refused(variable: str) -> None:
    with pytest.raises(ValueError, match=variable):
        settings({"MQL_SERVICE": "x", variable: "much"})


def test_the_agent_itself_refuses_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MQL_SERVICE", raising=False)
    with pytest.raises(ValueError, match="service"):
        Agent()


def test_keys_are_files_or_the_characters_themselves(tmp_path: Path) -> None:
    public, secret = zmq.auth.create_certificates(tmp_path, "agent")
    server, _ = zmq.auth.create_certificates(tmp_path, "job")
    with pytest.raises(ValueError, match="chmod 600"):
        read_keys(secret, server)  # ZeroMQ leaves it readable to all
    Path(secret).chmod(0o600)
    keys = read_keys(secret, server)
    assert read_keys(keys.secret.decode(), keys.server.decode()) == keys
    assert keys.public == zmq.curve_public(keys.secret)
    for wrong in (public, str(tmp_path / "none"), "short"):
        with pytest.raises(ValueError, match="key"):
            read_keys(wrong, server)
