"""Values that run code of their own when they are read, and what that code may do meanwhile."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import gc
import types
import uuid
import weakref
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

import dateutil.tz
import msgspec
import numpy as np
import pandas as pd
import pytz

from tests.publish_agent.models import Model, OldModel

Deed = Callable[[], object]
"""Changes what is being read, or raises."""

Make = Callable[[Deed], object]
"""A hostile value that does a deed when it is looked at."""


def zone(deed: Deed, base: Any = dt.tzinfo, *given: object) -> dt.tzinfo:
    """A time zone, written in Python, or one of a library."""

    class Zone(base):  # type: ignore[misc]
        def utcoffset(self, _: object) -> dt.timedelta:
            deed()
            return dt.timedelta(hours=1)

    return Zone(*given)  # type: ignore[no-any-return]


def at(where: dt.tzinfo) -> dt.datetime:
    return dt.datetime(2024, 5, 6, 7, 8, 9, 10, where)


def with_property(deed: Deed, *, slots: bool = False) -> object:
    @dataclasses.dataclass(slots=slots)
    class Data:
        a: int = 1
        b: object = dataclasses.field(default_factory=lambda: ["x"] * 5)

    Data.__dataclass_fields__["c"] = Data.__dataclass_fields__["a"]
    Data.c = property(lambda _: deed() or ["y"])  # type: ignore[attr-defined]
    Data.__dataclass_fields__ = {  # type: ignore[misc]
        name: dataclasses.field() for name in ("a", "b", "c")
    }
    for name, each in Data.__dataclass_fields__.items():
        each.name, each._field_type = name, dataclasses._FIELD  # type: ignore[attr-defined]
    return Data()


def with_getattr(deed: Deed, name: str = "__getattribute__") -> object:
    @dataclasses.dataclass
    class Data:
        a: int = 1

    def get(self: object, key: str) -> object:
        deed()
        if name == "__getattr__":
            raise AttributeError
        return object.__getattribute__(self, key)

    setattr(Data, name, get)
    made = Data()
    if name == "__getattr__":
        del made.a
        del Data.a  # type: ignore[misc]
    return made


def subclass(deed: Deed, base: type, *given: object) -> object:
    """A value of a type below another, all of whose methods do the deed."""

    def do(name: str) -> Callable[..., Any]:
        def method(self: object, *args: object) -> object:
            deed()
            return getattr(base, name)(self, *args)

        return method

    names = ("__iter__", "__len__", "__str__", "__repr__", "__int__", "__float__", "__bool__")
    more = ("__getitem__", "keys", "items", "values", "copy", "utcoffset", "__index__")
    methods: dict[str, Any] = {
        name: do(name) for name in (*names, *more) if callable(getattr(base, name, None))
    }
    if base is uuid.UUID:
        methods = {"int": property(lambda _: deed() or 5), "__init__": lambda _: None}
        given = ()
    return type(f"Odd{base.__name__}", (base,), methods)(*given)


def in_enum(deed: Deed) -> object:
    class Kind(enum.Enum):
        A = 1

        def __getattribute__(self, name: str) -> Any:
            deed()
            return object.__getattribute__(self, name)

    return Kind.A


def in_struct(deed: Deed) -> object:
    class Made(msgspec.Struct, tag="made", omit_defaults=True):
        a: Any = None
        b: Any = None

    return Made(at(zone(deed)), [with_property(deed)])


def as_text(deed: Deed, name: str = "__str__") -> object:
    def speak(_: object) -> str:
        deed()
        return "text\ud800"

    return type("Text", (), {name: speak})()


def liar(deed: Deed, kind: type) -> object:
    class Lies:
        @property
        def __class__(self) -> type:
            deed()
            return kind

        __len__ = __iter__ = __getitem__ = lambda *_: deed()  # type: ignore[assignment,return-value]

    return Lies()


def mapping(deed: Deed, *, endless: bool = False) -> object:
    class Odd(collections.abc.Mapping[str, object]):
        def __getitem__(self, key: str) -> object:
            return deed() if key == "a" else None

        def __iter__(self) -> Iterator[str]:
            yield "a"
            while endless:
                yield "b"

        def __len__(self) -> int:
            return 1

    return Odd()


def buried(deed: Deed) -> object:
    """Garbage that does a deed when it is collected, whenever that is."""

    class Dies:
        def __del__(self) -> None:
            deed()

    dies = Dies()
    dies.ring = dies  # type: ignore[attr-defined]
    weakref.finalize(dies, deed)
    return 2**63 + 5


def key_of(deed: Deed) -> object:
    class Key(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            deed()
            return str.__eq__(self, other)

    return {Key("a"): 1, Key("b"): [1]}


def unknown_key(deed: Deed) -> object:
    return {as_text(deed): 1, at(zone(deed)): 2, (1, as_text(deed)): 3, 1.5: 4, None: 5, True: 6}


class Proxied:
    """What a proxy stands for, which may be gone."""

    def __init__(self, deed: Deed) -> None:
        self.deed = deed

    def __str__(self) -> str:
        self.deed()
        return "proxied"


class Made(NamedTuple):
    a: object
    b: object


def metaclass(deed: Deed) -> object:
    """A value whose type does a deed where it is looked for among others."""
    methods = {"__hash__": lambda _: deed() or 1, "__eq__": lambda *_: bool(deed())}
    return type("Meta", (type,), methods)("Made", (), {})()


def frame(_: Deed) -> object:
    return pd.DataFrame({"a": [1, 2], "t": pd.to_datetime(["2024-01-01", None])})


MAKES: dict[str, Make] = {
    "dateutil": lambda deed: at(zone(deed, dateutil.tz.tzoffset, "x", 3600)),
    "dateutil as it is": lambda _: at(dateutil.tz.gettz("Europe/Berlin") or dateutil.tz.UTC),
    "pytz": lambda _: at(pytz.timezone("Europe/Berlin")),
    "tzinfo": lambda deed: at(zone(deed)),
    "time with tzinfo": lambda deed: dt.time(1, 2, tzinfo=zone(deed)),
    "property": with_property,
    "property, slots": lambda deed: with_property(deed, slots=True),
    "getattribute": with_getattr,
    "getattr": lambda deed: with_getattr(deed, "__getattr__"),
    "uuid": lambda deed: subclass(deed, uuid.UUID),
    "set": lambda deed: subclass(deed, set, [1, 2]),
    "frozenset": lambda deed: subclass(deed, frozenset, [1, 2]),
    "dict": lambda deed: subclass(deed, dict, {"a": [1]}),
    "list": lambda deed: subclass(deed, list, [1, [2]]),
    "tuple": lambda deed: subclass(deed, tuple, [1, [2]]),
    "str": lambda deed: subclass(deed, str, "text"),
    "int": lambda deed: subclass(deed, int, 5),
    "float": lambda deed: subclass(deed, float, 5.5),
    "bytes": lambda deed: subclass(deed, bytes, b"x"),
    "datetime": lambda deed: subclass(deed, dt.datetime, 2024, 1, 1, 0, 0, 0, 0, zone(deed)),
    "Decimal": lambda deed: subclass(deed, decimal.Decimal, "1.5"),
    "enum": in_enum,
    "struct": in_struct,
    "text": as_text,
    "hash of set": lambda deed: {"a", as_text(deed)},
    "lies it is a dict": lambda deed: liar(deed, dict),
    "lies it is a list": lambda deed: liar(deed, list),
    "lies it is a str": lambda deed: liar(deed, str),
    "mapping": mapping,
    "endless mapping": lambda deed: mapping(deed, endless=True),
    "mapping proxy": lambda deed: types.MappingProxyType({"a": as_text(deed)}),
    "chain map": lambda deed: collections.ChainMap({"a": as_text(deed)}, {"b": [1]}),
    "counter": lambda deed: collections.Counter({"a": 1, "b": subclass(deed, int, 2)}),
    "garbage": buried,
    "keys": key_of,
    "unknown keys": unknown_key,
    "proxy": lambda deed: weakref.proxy(Proxied(deed)),
    "numpy": lambda deed: np.array([1, as_text(deed), at(zone(deed))], object),
    "numpy scalars": lambda _: [np.float32(1), np.datetime64("NaT"), np.bool_(True), np.uint64(5)],
    "long double": lambda _: np.longdouble(1.5),
    "structured": lambda _: np.zeros(2, [("a", int), ("b", float)]),
    "much numpy": lambda _: np.zeros(110_000),
    "pandas": frame,
    "timestamps": lambda _: [pd.Timestamp("2024-01-01", tz="Europe/Berlin"), pd.NaT, pd.NA],
    "huge": lambda _: [10**400, -(10**5_000), 2**64, 2**64 - 1, 2**63, -(2**63) - 1, 10**300],
    "surrogates": lambda _: {"half \ud800": "\udfff", "pair": "\ud83d\ude00", "é": "한국어" * 20},
    "numbers": lambda _: [float("nan"), float("inf"), -0.0, 5e-324, 1.7976931348623157e308, 0.1],
    "raw": lambda _: msgspec.Raw(b'{"a":[1,{"b":null}]}'),
    "bad raw": lambda _: msgspec.Raw(b'1},{"x":\n'),
    "deep raw": lambda _: msgspec.Raw(b"[" * 100_000),
    "buffers": lambda _: [b"x" * 50, bytearray(b"y"), memoryview(b"z"), memoryview(b"abcd")[::2]],
    "generator": lambda deed: (deed() for _ in range(3)),
    "type": lambda _: [int, gc, len, ..., NotImplemented, range(3), 1j],
    "named tuple": lambda deed: Made(as_text(deed), [1]),
    "namespace": lambda deed: types.SimpleNamespace(a=as_text(deed), b=at(zone(deed))),
    "model": lambda deed: Model({"id": as_text(deed)}, {"more": as_text(deed)}),
    "old model": lambda deed: OldModel(id=as_text(deed), more=with_property(deed)),
    "metaclass": metaclass,
}  # fmt: skip
"""All kinds of them, by name."""


def raising(dice: Random) -> Deed:
    """A deed that raises something, of the kinds that mean more than that something went wrong."""
    error = dice.choice(
        [CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit, BaseException, ValueError,
         StopIteration, MemoryError, RecursionError, AttributeError, RuntimeError]
    )  # fmt: skip

    def deed() -> None:
        raise error

    return deed
