"""The fields of objects that have some: structs, dataclasses, models, namespaces, named tuples.

They are read from where the object keeps them. No method that a library or a program has for this
is called: such methods convert, check, and may do anything. Of an object's own code only properties
are run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec

from mql.host.interruption import pass_on
from mql.values.array_types import array_types


class Fields(dict[str, object]):
    """The values of what JSON has as a list, by the names that its type gives them."""


def fields_of(value: object, kind: Any) -> dict[str, object] | list[object] | None:
    """The fields of a struct, a dataclass, or of what is like one; None if it has none."""
    if issubclass(kind, msgspec.Struct):
        fields = _of_struct(value, kind)
        return [each for _, each in fields] if kind.__struct_config__.array_like else dict(fields)
    if getattr(kind, "__dataclass_fields__", None) is not None:
        return dict(_present(value, [field.name for field in dataclasses.fields(kind)]))
    attributes = getattr(kind, "__attrs_attrs__", None)
    if attributes is None:
        return _stored_fields(value, kind)
    names = [attribute.name for attribute in attributes]
    return dict(_present(value, [name for name in names if not name.startswith("_")]))


def _present(value: object, names: list[str]) -> Iterator[tuple[str, object]]:
    """The fields that can be read, by name."""
    for name in names:
        try:
            found = getattr(value, name)
        except Exception as error:  # noqa: BLE001 - whatever somebody's class raises
            pass_on(error)
            continue
        if found is not msgspec.UNSET:
            yield name, found


def _stored_fields(value: object, kind: type) -> dict[str, object] | None:
    """The fields that stand in the `__dict__` of a model of pydantic, or of a namespace.

    What its type keeps out of its output, or of its `repr`, is not among them.
    """
    if issubclass(kind, SimpleNamespace):
        return _stored(value, "__dict__")
    for name in ("__pydantic_fields__", "model_fields", "__fields__"):
        fields = _declared(kind, name)
        if issubclass(type(fields), dict):
            break
    else:
        return None
    found = _stored(value, "__dict__")
    if name != "__fields__":  # in which case further ones are beside the others
        found = {key: inner for key, inner in found.items() if key in fields}
        found |= _stored(value, "__pydantic_extra__")
    return {key: inner for key, inner in found.items() if not _is_kept_out(fields.get(key))}


def _is_kept_out(field: object) -> bool:
    info = getattr(field, "field_info", field)
    return bool(getattr(info, "exclude", None)) or getattr(info, "repr", True) is False


def _stored(value: object, name: str) -> dict[str, object]:
    """A copy of a dict that is an attribute; empty if there is none."""
    try:
        found = object.__getattribute__(value, name)
    except AttributeError:
        return {}
    return copied(found) if issubclass(type(found), dict) else {}


def _declared(kind: type, name: str) -> Any:
    """What a class or one of its bases says itself, without asking a metaclass."""
    for base in _MRO(kind):
        found = _NAMESPACE(base).get(name)
        if found is not None:
            return found
    return None


_MRO, _NAMESPACE = type.__dict__["__mro__"].__get__, type.__dict__["__dict__"].__get__


def named_values(value: Any, kind: Any) -> object:
    """The values by name of a named tuple, and of what else is a list of fields, one step.

    None if it is none of them.
    """
    if issubclass(kind, tuple):
        names = _declared(kind, "_fields")
        if not isinstance(names, tuple) or not names:
            return None
        return Fields(zip(names, tuple.__iter__(value), strict=False))
    if issubclass(kind, msgspec.Struct) and kind.__struct_config__.array_like:
        return Fields(_of_struct(value, kind))
    arrays = array_types()
    if issubclass(kind, arrays.void) and (names := arrays.generic.dtype.__get__(value).names):
        return Fields((name, arrays.void.__getitem__(value, name)) for name in names)
    if issubclass(kind, arrays.ndarray) and arrays.ndarray.dtype.__get__(value).names:
        rows = arrays.ndarray.view(value, arrays.ndarray)
        return [*rows] if rows.ndim else rows[()]
    return None


def _of_struct(value: object, kind: Any) -> Iterator[tuple[str, object]]:
    """The fields of a struct as msgspec writes them: its tag first, no defaults if it says so."""
    config, names = kind.__struct_config__, kind.__struct_fields__
    keys = dict(zip(names, kind.__struct_encode_fields__, strict=True))
    omitted = {}
    if config.omit_defaults:
        defaults = kind.__struct_defaults__
        omitted = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    if config.tag is not None:
        yield config.tag_field, config.tag
    for name, found in _present(value, list(names)):
        if name not in omitted or not _is_default(found, omitted[name]):
            yield keys[name], found


def _is_default(value: object, default: object) -> bool:
    if value is default:
        return True
    made = getattr(default, "factory", None)
    return made in (list, dict, set) and type(value) is made and not value


def copied(value: dict[Any, object]) -> dict[Any, object]:
    """What a dict holds, whatever its own methods say."""
    if type(value) is dict:
        return value.copy()  # at once, whatever another thread does to it
    return dict(dict.items(value))  # `dict.copy` would ask its own keys
