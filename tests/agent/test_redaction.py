"""What is redacted is gone before a query can see or test it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mql.values import read_json
from publish_agent.encode import encode, encoder
from publish_agent.redaction import redaction
from publish_agent.settings import Settings
from tests.agent.support import ALL, Bench

EVENT = {
    "user": {"id": 1, "password": "p", "Api_Token": "t"},
    "card": {"number": "4111", "brand": "v"},
    "items": [{"secret": 1, "n": 2}, {"password": 3}, 4],
    "password": ["x"],
}


def test_a_key_that_is_written_with_escapes_is_found() -> None:
    event = {"user": msgspec.Raw(b'{"pass\\u0077ord": "p", "id": 1}')}
    assert read_json(encoder(redaction(["password"]))(event)) == {"user": {"id": 1}}


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ([], EVENT),
        (
            ["password", "*token*"],
            {"user": {"id": 1}, "card": EVENT["card"], "items": [{"secret": 1, "n": 2}, {}, 4]},
        ),
        (
            ["e['card']['number']", "PASSWORD", "*token*"],
            {"user": {"id": 1}, "card": {"brand": "v"}},
        ),
        (["e['items'][*]['secret']"], {"items": [{"n": 2}, {"password": 3}, 4]}),
        (["e['items'][*]"], {"items": [None, None, None]}),
        (["number", "e['number']", "nothing"], {"card": {"brand": "v"}}),
    ],
)
def test_rules_take_keys_and_values_away(rules: list[str], left: dict[str, object]) -> None:
    got = read_json(encoder(redaction(rules))(EVENT))
    assert isinstance(got, dict)
    assert {key: got.get(key) for key in left} == left
    assert not ({"password", "PASSWORD"} & set(rules) and "password" in str(got))


@pytest.mark.parametrize("rule", ["", "e[", "e['a'", "e['a'][0]", "e['a'], b", "e[^'a']"])
def test_a_rule_that_is_none_is_refused_when_the_agent_is_made(rule: str) -> None:
    with pytest.raises(ValueError, match="redact"):
        Settings(service="s", redact=(rule,))


@pytest.mark.parametrize(
    "where",
    [
        *(
            "password == 'p'",
            "password != null",
            "password ==~ /p/",
            "e['user']['password'] == 'p'",
        ),
        *(
            "e['card']['number'] like '4%'",
            "e['l'][*]['password'] == 'p'",
            "e['user'] ==+ 'hunter2'",
        ),
    ],
)
def test_no_query_can_test_a_redacted_value(where: str) -> None:
    rules = ("password", "e['card']['number']")
    bench = Bench(Settings(service="checkout", redact=rules))
    bench.subscribe(1, f"{ALL} where {where}")
    bench.subscribe(2, f"{ALL} where not ({where})")
    bench.publish(
        {
            "password": "p",
            "user": {"password": "hunter2"},
            "card": {"number": "4111"},
            "l": [{"password": "p"}],
        }
    )
    bench.settle()
    assert bench.got(1).events == []
    assert bench.got(2).events == [{"user": {}, "card": {}, "l": [{}]}]


@dataclass
class User:
    name: str
    password: str


class Account(msgspec.Struct):
    password: str


def test_objects_that_become_json_are_redacted_too() -> None:
    hide = encoder(redaction(["password"]))
    assert hide({"u": User("a", "hunter2"), "v": [Account("x")]}) == b'{"u":{"name":"a"},"v":[{}]}'
    assert hide(User("a", "hunter2")) == b'{"name":"a"}'


KEYS = st.sampled_from(["password", "Password", "my_token", "TOKEN", "a", "b", "tok", "\u212aey"])
TREES: st.SearchStrategy[object] = st.recursive(
    st.integers(0, 3) | st.just("token password"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@hypothesis_settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, TREES, max_size=4))
def test_nothing_that_a_rule_names_is_left_at_any_depth(event: dict[str, object]) -> None:
    left = read_json(encoder(redaction(["password", "*token*", "e['a']['b']"]))(event))
    assert not [k for k in keys_of(left) if k.lower() == "password" or "token" in k.lower()]
    assert isinstance(left, dict)
    assert not (isinstance(left.get("a"), dict) and "b" in left["a"])
    if not [k for k in keys_of(event) if k.lower() == "password" or "token" in k.lower()]:
        inner = event.get("a")
        if not (isinstance(inner, dict) and "b" in inner):
            assert left == read_json(encode(event))


def keys_of(value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [str(k) for k in value] + [k for v in value.values() for k in keys_of(v)]
    return [k for v in value for k in keys_of(v)] if isinstance(value, list) else []
