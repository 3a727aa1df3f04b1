"""What is redacted leaves a service in no byte, and changes none that leaves it.

Two agents that differ in the secret alone are asked the same and publish the same otherwise: what
they send has to be equal, whatever the query. The agents' whole output is looked at: answers, what
`mql streams` shows, the costs of `mql explain --live`, refusals, heartbeats.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mql.errors import QueryError
from mql.planner.plan import plan
from mql.wire.codec import encode
from mql.wire.messages import PROTOCOL, Look, Subscribe, Welcome
from publish_agent.protocol.agent_state import AgentState
from publish_agent.protocol.identity import Identity
from publish_agent.settings import Settings
from publish_agent.stream import Stream
from tests.publish_agent.models import Model, OldModel, Space
from tests.source_jobs.protocol.stage import Stage

RULES = ("password", "*token*", "e['card']['number']", "e['items'][*]['pin']")
SECRETS = ("hunter2-secret-a", "correct-horse-b7")
"""Of the same length, and never part of a query or of what else an event holds."""


def event(secret: object, number: int = 0) -> dict[str, object]:
    """An event with a secret wherever a rule says that there is one."""
    return {
        "n": number,
        "path": "/a",
        "password": secret,
        "user": {"id": "u1", "PassWord": {"deep": [secret]}, "api_token": secret},
        "card": {"number": secret, "brand": "v"},
        "items": [{"pin": secret, "n": 1}, {"pin": [secret], "n": 2}, 3],
        "nested": {"list": [{"my_token_2": {"a": secret}}]},
        "token": {secret: 1} if isinstance(secret, str) else secret,
        "model": Model({"id": 1, "password": secret}, {"my_token": secret, "plain": "x"}),
        "space": Space(password=secret, inner=[OldModel(password=secret)]),
        "tuple": Credentials("u1", secret),
        "says": Says(secret),
        "error": ValueError(secret),
        "keys": {Says(secret): 1, ("a", Says(secret)): Says(secret)},
    }


class Credentials(NamedTuple):
    user: str
    password: object


class Says:
    """An object that is nothing but its text."""

    def __init__(self, secret: object) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return f"Says({self._secret})"


PATHS = (
    *("password", "token", "n", "path", "user", "card", "items", "nested", "_agent"),
    *("e['user']['PassWord']", "e['user']['PassWord']['deep'][0]", "e['user']['api_token']"),
    *("e['card']['number']", "e['card']['number'][0]", "e['items'][0]['pin']", "e['items'][1]"),
    *("e['nested']['list'][0]['my_token_2']", "e['user']['id']", "e['PASSWORD']"),
    *("model", "e['model']['password']", "e['model']['my_token']", "e['model']['plain']"),
    *("space", "e['space']['password']", "e['space']['inner'][0]['password']"),
    *("tuple", "e['tuple'][1]", "e['tuple']['password']", "says", "error", "keys"),
)
ANY = (
    "e['tuple'][*]",
    "e['keys'][*]",
    "e['space']['inner'][*]['password']",
    "e['items'][*]['pin']",
    "e['items'][*]",
    "e['nested']['list'][*]['my_token_2']['a']",
)
GUESSES = ("hunter2-secret-a", "hunter", "h", "correct-horse-b7", "c", "", "/a", "x")

path = st.sampled_from(PATHS)
literal = st.sampled_from([f"'{guess}'" for guess in GUESSES] + ["null", "true", "1", "0.5"])
conditions = st.one_of(
    st.builds("{} {} {}".format, path, st.sampled_from(["==", "!=", "<", ">=", "==+"]), literal),
    st.builds("{} {} {}".format, st.sampled_from(ANY), st.sampled_from(["==", "!=", "<"]), literal),
    st.builds(
        "{} ==~ /{}/".format, path, st.sampled_from([".*hunter.*", ".*[ch].*", ".{16}", ".*"])
    ),
    st.builds("{} like '{}'".format, path, st.sampled_from(["hunt%", "%secret%", "_%", "%"])),
    st.builds("{} in ({}, {})".format, path, literal, literal),
    st.builds("{} between {} and {}".format, path, literal, literal),
    st.builds("{} == {}".format, path, path),
    st.builds("{} is not null".format, path),
)
where = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.builds("not ({})".format, inner),
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
    ),
    max_leaves=4,
)
aggregates = st.builds(
    "{}({})".format,
    st.sampled_from(
        ["count", "max", "min", "sum", "first", "last", "list", "p50", "count(distinct"]
    ),
    path,
).map(lambda text: text + ")" * text.startswith("count(distinct"))
items = st.one_of(
    st.just("*"),
    st.sampled_from(["e[^'pass']", "e[^'tok'], n", "e[^''], path", "e[^'car'], e[^'P']"]),
    st.lists(path, min_size=1, max_size=3).map(", ".join),
)
queries = st.one_of(
    st.builds("select {} from s where {}".format, items, where),
    st.builds("select {} from s".format, items),
    st.builds("select {} from s where {} window 1 order by {}".format, items, where, path),
    st.builds("select {}, {} from s window 1 group by {}".format, aggregates, path, path),
    st.builds(
        "select {} filter (where {}) from s where {} window 1 group by {}".format,
        *(aggregates, conditions, conditions, path),
    ),
    st.builds("select {} from s join s 1 seconds on {}".format, items, path),
    st.builds(
        "select n from s where {} sample {{'strategy': 'STICKY', 'keys': ['{}'],"
        " 'threshold': 5000}}".format,
        *(conditions, st.sampled_from(["password", "token", "user"])),
    ),
    st.builds("select {} {} from s where".format, path, where),
    st.builds("select n from s where {} {}".format, where, path),
)


def said(
    secret: object,
    asked: Sequence[tuple[str, bool]],
    time: str = "",
    rules: tuple[str, ...] = RULES,
) -> list[bytes]:
    """All frames that an agent sends while it is asked some queries and events come."""
    now_us = 1_700_000_000_000_000
    state = AgentState(
        Settings(service="shop", host="h", redact=rules),
        Identity("a1", 7, "proof"),
        lambda: now_us * 1000,
    )
    stream, frames = Stream("s"), list[bytes]()

    def take(sends: Sequence[object]) -> None:
        frames.extend(bytes(f) for send in sends for f in send.frames)  # type: ignore[attr-defined]

    def hear(message: Welcome | Subscribe | Look) -> None:
        take(state.receive(0, [bytes(frame) for frame in encode(message)], now_us))

    state.adopt(stream)
    take(state.connect(0, now_us))
    hear(Welcome(PROTOCOL, "j", 1 << 30, now_us, now_us, now_us))
    for number, (text, states) in enumerate(asked, 1):
        hear(Subscribe(number, 0, "s", text, 1000, time, seed=5, states=states))
    for step in range(12):
        now_us += 250_000
        for number in range(3):
            stream.publish(event(secret, number))
        if step == 10:
            hear(Look())
        take(state.tick(now_us))
        state.validate()
    take(state.goodbye(now_us))
    return [frame for frame in map(without_time, frames) if frame]


def without_time(frame: bytes) -> bytes:
    """A frame without what is measured of the process's own work: the CPU time of queries."""
    if frame[:1] != bytes([PROTOCOL]):
        return frame
    message = msgspec.msgpack.decode(frame[1:])
    for cost in message.get("costs", ()):
        cost.pop("spent_ns", None)
    return msgspec.msgpack.encode(message)


@hypothesis_settings(max_examples=40, deadline=None)
@example([("select * from s where password ==~ /hunter.*/", False)])
@example([("select e['tuple'][1], says from s where not (says like 'Says(hunt%')", False)])
@example(
    [("select count(*) from s where error != 'hunter2-secret-a' window 1 group by tuple", True)]
)
@example([("select * from s where e['tuple'][*] == 'hunter2-secret-a' or error ==+ 'h'", False)])
@example([("select count(*) from s window 1 group by password", True)])
@example([("select max(e['card']['number']) from s window 1", True)])
@example([("select n from s where e['items'][*]['pin'] == 'hunter2-secret-a'", False)])
@given(st.lists(st.tuples(queries, st.booleans()), min_size=1, max_size=4))
def test_two_agents_that_differ_in_a_secret_say_the_same(asked: list[tuple[str, bool]]) -> None:
    first, second = (said(secret, asked) for secret in SECRETS)
    assert first == second, asked
    if not any(SECRETS[0] in text for text, _ in asked):  # a refusal may quote the query
        assert not any(SECRETS[0].encode() in frame for frame in first)


def test_this_would_be_noticed_without_rules() -> None:
    """The comparison itself: a rule less, and the two agents differ."""
    asked = [("select n from s where card ==+ 'x' or e['card']['number'] like 'hunt%'", False)]
    differ = [said(secret, asked, rules=RULES[:2]) for secret in SECRETS]
    assert differ[0] != differ[1]


@pytest.mark.parametrize("secret", [1, 2.5, None, True, ["x"], {"password": 1}, "", 10**30])
def test_not_even_what_kind_of_value_it_is_or_whether_it_is_there_is_told(secret: object) -> None:
    asked = [
        ("select * from s", False),
        ("select password, e['card'], e['items'] from s where token != null", False),
        ("select n from s where not (password == null) or e['items'][*]['pin'] == 1", False),
    ]
    assert said(secret, asked) == said(SECRETS[0], asked)


def test_a_secret_as_the_time_of_events_is_none() -> None:
    first, second = (said(secret, [("select n from s", False)], "token") for secret in SECRETS)
    assert first == second


def test_nothing_of_it_comes_to_logs_and_errors(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "select password( from s where password == 'x"
    frames = said(SECRETS[0], [(wrong, False), ("select sum(password) from s", False)])
    assert SECRETS[0] not in caplog.text
    assert not any(SECRETS[0].encode() in frame for frame in frames)
    with pytest.raises(QueryError) as caught:
        plan(wrong, live=True)
    assert SECRETS[0] not in str(caught.value)


def test_the_catalogue_has_neither_the_field_nor_an_example() -> None:
    """What an agent answers to `look` is all that `mql streams` can show."""
    frames = said(SECRETS[0], [])
    catalogue = next(frame for frame in frames if b"catalogue" in frame)
    assert b"path" in catalogue
    assert b"brand" in catalogue
    for hidden in (b"password", b"PassWord", b"token", b"pin", b"'number'"):
        assert hidden not in catalogue


def test_a_source_job_warns_of_a_redacted_field_as_of_one_that_is_not_there() -> None:
    stage = Stage()
    stage.agent("a", "s")
    client = stage.client()
    for name in ("password", "nothing"):
        client.ask(f"select {name} from s")
    stage.pass_time(300)
    texts = [str(message) for message, _ in client.inbox]
    assert not any("redact" in text for text in texts)
