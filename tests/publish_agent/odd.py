"""Events that are not as events should be: whatever can be done to them raises."""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime as dt
import decimal
import threading
from collections.abc import Iterator

import numpy as np


class BadError(Exception):
    """What the objects below raise."""


def boom(*_: object, **__: object) -> object:
    raise BadError


def hostile(base: type, *names: str) -> type:
    """A class whose methods raise."""
    return type(f"Hostile{base.__name__}", (base,), {f"__{n}__": boom for n in names})


D = hostile(dict, "getitem", "iter", "len", "contains", "eq", "bool")
D.keys = D.items = D.values = D.get = boom  # type: ignore[attr-defined]
S = hostile(str, "eq", "str", "len", "contains", "hash")
S.encode = S.lower = boom  # type: ignore[attr-defined]
I = hostile(int, "eq", "int", "index", "lt", "gt", "le", "ge", "bool", "str", "hash")  # noqa: E741
F = hostile(float, "eq", "float", "lt", "gt", "bool", "str", "hash")
L = hostile(list, "getitem", "iter", "len")
O = hostile(object, "str", "repr", "eq", "getattr", "hash")  # noqa: E741
Blind = hostile(object, "getattribute")


class Classless:
    @property
    def __class__(self) -> type:
        raise BadError


class Meta(type):
    def __instancecheck__(cls, instance: object) -> bool:
        raise BadError

    def __getattr__(cls, name: str) -> object:
        raise BadError


class BadMapping(collections.abc.Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise BadError

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def __len__(self) -> int:
        return 1


class BadKey(str):
    __slots__ = ()
    armed = False

    def __hash__(self) -> int:
        return boom() if BadKey.armed else str.__hash__(self)  # type: ignore[return-value]

    def __eq__(self, other: object) -> bool:
        return bool(boom()) if BadKey.armed else str.__eq__(self, other)


@dataclasses.dataclass
class Data:
    a: object


def odd_events() -> list[object]:
    class OfMeta(metaclass=Meta):  # not of the module: who looks for its tests would raise
        pass

    loop: dict[str, object] = {}
    loop["l"] = [loop]
    deep: dict[str, object] = {}
    inner = deep
    for _ in range(50_000):
        inner["a"] = inner = {}
    values = [
        D(a=1), S("x"), I(3), F(4.0), L([1]), O(), Blind(), Classless(), OfMeta(), BadMapping(),
        BadKey("k"), float("nan"), 10**400, -(10**5000), b"x", bytearray(b"x"), memoryview(b"x"),
        range(3), {1, 2}, iter([1]), boom, int, dt.datetime.max.replace(tzinfo=dt.UTC),
        dt.timedelta.max, decimal.Decimal("NaN"), decimal.Decimal("1e999999"), 1j, "\ud800",
        threading.Lock(), ..., NotImplemented, BadError("x"), np.float64(1), np.zeros(3),
        np.array([1, [2]], object), np.datetime64("NaT", "s"), Data(O()), Data([Data(1)]),
        OverflowError,
    ]  # fmt: skip
    events = [{"a": v, "b": v, "c": {"d": v}, "l": [{"k": v}], "u": v, "m": v} for v in values]
    keys = [{BadKey("a"): 1}, {1: 2}, {None: 1}, {(1, 2): 3}, {1.5: "x", True: 3}, {"\udfff": 1}]
    wholes = [*values, loop, deep, None, 1, "x", [], (), object(), Data(1), type]
    return [*events, *keys, *wholes, {str(i): i for i in range(20_000)}, {"a": "x" * 1_000_000}]
