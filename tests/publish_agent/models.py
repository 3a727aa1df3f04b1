"""Objects with fields as pydantic makes them, without it."""

from __future__ import annotations

from types import SimpleNamespace


class Model:
    """One of pydantic 2: `note` is kept out of its output, `pin` out of its `repr`."""

    __slots__ = ("__dict__", "__pydantic_extra__", "__pydantic_private__")
    __pydantic_fields__ = {  # noqa: RUF012 - as it is there
        "id": SimpleNamespace(exclude=None, repr=True),
        "password": SimpleNamespace(exclude=None, repr=True),
        "note": SimpleNamespace(exclude=True, repr=True),
        "pin": SimpleNamespace(exclude=None, repr=False),
    }

    def __init__(self, fields: dict[str, object], extra: dict[str, object] | None = None) -> None:
        object.__setattr__(self, "__dict__", fields)
        object.__setattr__(self, "__pydantic_extra__", extra)
        object.__setattr__(self, "__pydantic_private__", {"_private": "private"})

    def model_dump(self) -> dict[str, object]:
        raise AssertionError("it may run anything")

    def __repr__(self) -> str:
        return f"Model({self.__dict__}, {self.__pydantic_extra__})"


class EarlyModel(Model):
    """One of the first of pydantic 2, which had its fields under this name."""

    __pydantic_fields__ = None  # type: ignore[assignment]
    model_fields = Model.__pydantic_fields__


class OldModel:
    """One of pydantic 1, which keeps further values with its fields."""

    __fields__ = {  # noqa: RUF012 - as it is there
        "id": SimpleNamespace(field_info=SimpleNamespace(exclude=None, repr=True)),
        "note": SimpleNamespace(field_info=SimpleNamespace(exclude=..., repr=True)),
    }

    def __init__(self, **fields: object) -> None:
        object.__setattr__(self, "__dict__", fields)

    def dict(self) -> dict[str, object]:
        raise AssertionError("it may run anything")

    def __repr__(self) -> str:
        return f"OldModel({self.__dict__})"


class Space(SimpleNamespace):
    """A namespace that has a name."""
