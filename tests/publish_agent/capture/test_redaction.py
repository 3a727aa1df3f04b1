"""What is redacted is gone before a query can see or test it."""

from __future__ import annotations

import collections
import contextlib
import datetime as dt
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_address, ip_network
from pathlib import Path, PurePath
from types import MappingProxyType, SimpleNamespace
from typing import ClassVar, NamedTuple
from uuid import UUID

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mql.values.json_values import read_json
from publish_agent.capture.encode import MAX_DEPTH, MAX_VALUES, encode, encoder
from publish_agent.capture.redaction import redaction
from publish_agent.settings import Settings
from tests.publish_agent.models import EarlyModel, Model, OldModel, Space
from tests.publish_agent.support import ALL, Bench

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


class Card(NamedTuple):
    id: object
    password: object


class Row(msgspec.Struct, array_like=True):
    id: int
    password: object


class Says:
    """What it is, only its own text tells."""

    def __init__(self, secret: object) -> None:
        self.secret = secret

    def __repr__(self) -> str:
        return f"Says(password={self.secret!r})"


@dataclass(frozen=True)
class Key:
    password: str


class Choice(enum.Enum):
    SECRET = Key("LEAK")
    WORD = "word"


class Unreadable(Says):
    @property
    def __dict__(self) -> dict[str, object]:  # type: ignore[override]
        raise ValueError(self.secret)

    __pydantic_fields__: ClassVar[dict[str, object]] = {}


RECORD = np.array([(1, "LEAK")], [("id", int), ("password", "U4")])
LEAK = "LEAK"
OPEN: dict[str, object] = {"id": 1, "password": LEAK}
MODEL = Model(OPEN | {"pin": LEAK}, {"a_token": LEAK, "more": 2})
RULES = ("password", "*token*")

LEFT: dict[str, tuple[object, object]] = {
    "a model": (MODEL, {"id": 1, "more": 2}),
    "an early model": (EarlyModel(OPEN), {"id": 1}),
    "an old model": (OldModel(**OPEN, a_token=LEAK), {"id": 1}),
    "a namespace": (SimpleNamespace(**OPEN), {"id": 1}),
    "one of a class of its own": (Space(id=1, l=[MODEL, {"m": MODEL}]), {
        "id": 1, "l": [{"id": 1, "more": 2}, {"m": {"id": 1, "more": 2}}],
    }),
    "a model in a dataclass": (User("a", "LEAK"), {"name": "a"}),
    "a named tuple": (Card(1, "LEAK"), [1, None]),
    "what is in one": (Card([MODEL], "LEAK"), [[{"id": 1, "more": 2}], None]),
    "a struct that is a list": (Row(1, "LEAK"), [1, None]),
    "records": (RECORD, [[1, None]]),
    "a record": (RECORD[0], [1, None]),
    "a record without dimensions": (RECORD.reshape(()), [1, None]),
    "objects in an array": (np.array([MODEL, 1], object), [{"id": 1, "more": 2}, 1]),
    "an object with a text": (Says("LEAK"), "<Says>"),
    "one that cannot be read": (Unreadable("LEAK"), "<Unreadable>"),
    "an error": (ValueError("password=LEAK"), "<ValueError>"),
    "a deque": (collections.deque(["LEAK"]), "<deque>"),
    "a mapping that is no dict": (MappingProxyType({"password": "LEAK"}), "<mappingproxy>"),
    "enums": ([Choice.SECRET, Choice.WORD], [{}, "word"]),
    "keys": (
        {Says("LEAK"): 1, Key("LEAK"): 2, (1, Says("LEAK")): 3, frozenset({Key("LEAK")}): 4,
         Card(1, "LEAK"): 5, Choice.SECRET: 6, Choice.WORD: 7, (1, "a"): 8, None: 9, True: 10,
         1.5: 11},
        {"<Says>": 1, "<Key>": 2, "<tuple>": 3, "<frozenset>": 4, "<Card>": 5, "<Choice>": 6,
         "word": 7, "(1, 'a')": 8, "None": 9, "True": 10, "1.5": 11},
    ),
}  # fmt: skip
"""Values with a secret, and what is left of them."""


@pytest.mark.parametrize("name", LEFT)
def test_no_secret_of_an_object_is_in_what_is_left_of_it(name: str) -> None:
    value, left = LEFT[name]
    for event in ({"a": value}, {"a": value, 5: 1}, {"l": [value]}):
        text = encoder(redaction(RULES))(event)
        assert b"LEAK" not in text
        found = read_json(text)
        assert isinstance(found, dict)
        assert left in (found.get("a"), *found.get("l", ()))
    assert b"LEAK" in encode({"a": value})


@pytest.mark.parametrize("name", ["a model", "an early model", "an old model", "a namespace"])
def test_an_object_with_fields_is_an_event(name: str) -> None:
    bench = Bench(Settings(service="checkout", redact=RULES))
    bench.subscribe(1, ALL)
    bench.publish(LEFT[name][0])
    bench.settle()
    assert bench.got(1).events == [LEFT[name][1]]


def test_a_path_leads_into_an_object_and_a_named_tuple() -> None:
    rules = ["e['m']['id']", "e['c']['id']['more']", "e['d']['password']", "e['e'][*]"]
    event = {"m": MODEL, "c": Card(MODEL, 1), "d": Card(1, "LEAK"), "e": Card(1, "LEAK")}
    left = read_json(encoder(redaction([*rules, *RULES[1:], "pin"]))(event))
    assert left == {
        "m": {"password": "LEAK", "more": 2},
        "c": [{"id": 1, "password": "LEAK"}, 1],
        "d": [1, None],
        "e": [None, None],
    }


KINDS: dict[str, object] = {
    "a time": dt.datetime(2024, 1, 2, tzinfo=dt.UTC),
    "other times": [dt.date(2024, 1, 2), dt.time(1), dt.timedelta(1), dt.UTC],
    "numbers": [1, 1.5, 1j, Decimal("1.50"), Fraction(1, 2), np.float32(2), np.longdouble(1.5)],
    "texts": ["a", np.str_("a"), UUID(int=1)],
    "bytes": [b"a", bytearray(b"a"), memoryview(b"a"), np.bytes_(b"a")],
    "paths": [PurePath("/a"), Path("b")],
    "addresses": [ip_address("::1"), ip_address("10.0.0.1"), ip_network("10.0.0.0/8")],
    "lists": [(1, 2), {1}, frozenset({"a"}), np.array([1, 2])],
    "enums": [Choice.WORD],
    "keys": {Choice.WORD: 1, dt.date(2024, 1, 2): 2, UUID(int=1): 3, (1, None): 4},
}  # fmt: skip
with contextlib.suppress(ImportError):  # one of the two ways the tests run is without it
    import pandas as pd

    KINDS["a time of pandas"] = pd.Timestamp("2024-01-02 03:04:05.000000006")


@pytest.mark.parametrize("name", KINDS)
def test_what_is_a_text_by_its_kind_is_the_same_with_rules_and_without(name: str) -> None:
    event = {"a": KINDS[name]}
    assert encoder(redaction(RULES))(event) == encode(event)


def test_objects_have_the_limits_of_other_values() -> None:
    deep: object = 1
    for _ in range(MAX_DEPTH + 1):
        deep = Space(a=deep)
    wide = Space(**{f"k{i}": 1 for i in range(MAX_VALUES + 1)})
    around: dict[str, object] = {}
    around["id"] = Model(around)
    for write in (encode, encoder(redaction(RULES))):
        for value in (deep, wide, Model({}, vars(wide)), Card(1, deep), Space(a=around)):
            with pytest.raises(ValueError, match=r"nested deeper|too many"):
                write({"a": value})


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
