"""What programs import: the names, their signatures, and the members of public classes."""

from __future__ import annotations

import ast
import contextlib
import enum
import importlib
import inspect
import re
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass

import msgspec

import mql
from tests.surface import inside
from tests.surface.record import ROOT, text_of

PUBLIC = ("mql", "publish_agent", "source_jobs", "source_jobs.client")
"""The modules that users import; the last one is named by docs/protocol.md."""

PAGES = (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))
_PYTHON = re.compile(r"^```python.*\n((?:.*\n)*?)```$", re.MULTILINE)
_IN_TEXT = re.compile(r"`((?:mql|publish_agent|source_jobs)(?:\.\w+)+)(?:\(.*?\))?`")
"""A name in the running text of a page."""

PROTOCOLS = frozenset(
    f"__{name}__"
    for name in (
        *("aiter", "arrow_c_stream", "call", "contains", "enter", "exit", "getitem", "iter"),
        *("len", "next", "or", "add"),
    )
)
"""Methods without a name of their own that programs use all the same."""


def python() -> str:
    sections: dict[str, list[str]] = {}
    for module in PUBLIC:
        found = importlib.import_module(module)
        names = sorted(found.__all__)
        sections[f"from {module} import"] = names
        for name in names:
            value = getattr(found, name)
            sections[f"{module}.{name}"] = list(described(value))
    for name, kind in given().items():
        sections[f"{name} ({kind.__name__})"] = list(described(kind))
    sections["documented imports"] = sorted(documented())
    sections["installed as"] = distribution()
    about = "Programs import these names; objects that they are given have these members."
    return text_of(about, sections)


def given() -> dict[str, type]:
    """The classes of what public functions give, which users need not import."""
    result = mql.run("select count(*) as n window 1", {"stream": [(1, {"a": 1})]})
    (chunk,) = result
    query = "select count(*) from s window 1"
    return {
        "mql.run(…)'s chunk": type(chunk),
        "mql.run(…).statistics": type(result.statistics),
        "mql.run(…).statistics.counters": type(result.statistics.counters),
        "mql.parse(…)": type(mql.parse(query)),
        "mql.plan(…)": type(mql.plan(query)),
        "source_jobs: a piece's completeness": inside.Completeness,
        "source_jobs: a completeness's exactness": inside.Exactness,
        "source_jobs: a completeness's gone[]": inside.Gone,
        "source_jobs: a completeness's tally": inside.Tally,
        "source_jobs: SourceJob(settings=…)": inside.JobSettings,
    }


def described(value: object) -> Iterator[str]:
    """A class by its constructor and members, a function by its signature, else the value."""
    match value:
        case type() if issubclass(value, enum.Enum):
            yield from (f"{member.name} = {member.value!r}" for member in value)
            yield from _members(value)
        case type():
            bases = [base.__name__ for base in value.__bases__ if base not in (object, Exception)]
            yield f"class({', '.join(bases)})" if bases else "class"
            if is_dataclass(value) or issubclass(value, msgspec.Struct):
                yield "constructor of the fields, in this order"
                yield from (f"{name} {about}" for name, about in fields_of(value))
            else:
                yield f"constructor {_signature(value)}"
            yield from _members(value)
        case _ if callable(value):
            yield f"function {_signature(value)}"
        case str():
            yield "text" if value == mql.__version__ else f"text {value!r}"
        case _:
            raise AssertionError(f"a public value of another kind: {value!r}")


def _members(kind: type) -> Iterator[str]:
    """Attributes, properties and methods, by name; fields have been told before."""
    told = {name for name, _ in fields_of(kind)}
    found = dict(_attributes(kind))
    for name in dir(kind):
        owner = next((each for each in kind.__mro__ if name in vars(each)), None)
        is_public = not name.startswith("_") or name in PROTOCOLS
        if owner is None or not is_public or owner.__module__ in _NOT_OURS or name in told:
            continue
        member = inspect.getattr_static(kind, name)
        if isinstance(member, kind):
            continue  # of an Enum
        match member:
            case property():
                returns = getattr(member.fget, "__annotations__", {}).get("return", "?")
                setter = ", may be set" if member.fset else ""
                found[name] = f"property: {returns}{setter}"
            case staticmethod() | classmethod():
                found[name] = f"{type(member).__name__} {_signature(member.__func__)}"
            case _ if inspect.isfunction(member):
                is_async = "async " * inspect.iscoroutinefunction(member)
                found[name] = f"{is_async}method {_signature(member)}"
            case _:
                found.setdefault(name, "attribute")
    yield from (f"{name} {about}" for name, about in sorted(found.items()))


_NOT_OURS = frozenset({"builtins", "enum", "msgspec", "msgspec._core", "typing"})


def fields_of(kind: type) -> Iterator[tuple[str, str]]:
    """The public fields of a dataclass or a struct, in the order of the constructor."""
    if is_dataclass(kind):
        for field in fields(kind):
            default = "" if field.default is MISSING else f" = {field.default!r}"
            default = " = …" if field.default_factory is not MISSING else default
            if not field.name.startswith("_"):
                yield field.name, f"field: {field.type}{default}"
    elif issubclass(kind, msgspec.Struct):
        types = {n: t for each in reversed(kind.__mro__) for n, t in _annotations(each).items()}
        for each in msgspec.structs.fields(kind):
            yield each.name, f"field: {types[each.name]}{default_of(each)}"


def _attributes(kind: type) -> Iterator[tuple[str, str]]:
    """What every object of a class without fields holds, from its `__init__`."""
    if is_dataclass(kind) or issubclass(kind, msgspec.Struct):
        return
    for each in reversed(kind.__mro__):
        if each.__module__ not in _NOT_OURS:
            yield from _set_in(each)


def default_of(field: msgspec.structs.FieldInfo) -> str:
    if field.default is not msgspec.NODEFAULT:
        return f" = {field.default!r}"
    return f" = {field.default_factory()!r}" if _has_factory(field) else ""


def _has_factory(field: msgspec.structs.FieldInfo) -> bool:
    return field.default_factory is not msgspec.NODEFAULT


def _annotations(kind: type) -> dict[str, str]:
    return dict(vars(kind).get("__annotations__", {}))


def _set_in(kind: type) -> Iterator[tuple[str, str]]:
    """The public attributes that a class's own `__init__` sets."""
    init = vars(kind).get("__init__")
    if not inspect.isfunction(init):
        return
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(init)))):
        match node:
            case ast.AnnAssign(target=ast.Attribute(ast.Name("self"), name), annotation=told):
                about = f"attribute: {ast.unparse(told)}"
            case ast.Attribute(ast.Name("self"), name, ast.Store()):
                about = "attribute"
            case _:
                continue
        if not name.startswith("_"):
            yield name, about


def _signature(value: object) -> str:
    """Parameters and what is given back, as they are written, without a method's `self`."""
    try:
        signature = inspect.signature(value)  # type: ignore[arg-type]
    except ValueError:  # of an exception, as Python has it
        return "(…)"
    parts: list[str] = []
    before: inspect.Parameter | None = None
    for each in signature.parameters.values():
        if each.name == "self":
            continue
        if each.kind is each.KEYWORD_ONLY and (before is None or before.kind is not each.kind):
            parts.append("*")
        parts.append(_parameter(each))
        before = each
    returns = signature.return_annotation
    is_said = returns is not inspect.Signature.empty and not isinstance(value, type)
    return f"({', '.join(parts)})" + (f" -> {returns}" if is_said else "")


def _parameter(parameter: inspect.Parameter) -> str:
    mark = "*" * (parameter.kind is parameter.VAR_POSITIONAL)
    mark += "**" * (parameter.kind is parameter.VAR_KEYWORD)
    told = parameter.annotation
    kind = "" if told is parameter.empty else f": {told}"
    default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
    return f"{mark}{parameter.name}{kind}{default}"


def documented() -> set[str]:
    """What pages import or name of the packages."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    return {name for text in texts for name in _named_in(text) if _is_there(name)}


def _is_there(name: str) -> bool:
    """Whether a name is a module, or in one; pages have other words with a dot as well."""
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.import_module(name) is not None
    module, _, attribute = name.rpartition(".")
    with contextlib.suppress(ModuleNotFoundError):
        return hasattr(importlib.import_module(module), attribute)
    return False


def _named_in(text: str) -> Iterator[str]:
    roots = tuple({name.partition(".")[0] for name in PUBLIC})
    for block in _PYTHON.findall(text):
        code = re.sub(r"^(?:>>>|\.\.\.) ?", "", block, flags=re.MULTILINE)
        for line in code.splitlines():
            match = re.match(r"(?:from ([\w.]+) )?import ([\w., ]+)", line.strip())
            if match is None:
                continue
            for name in match[2].split(","):
                full = f"{match[1]}.{name.strip()}" if match[1] else name.strip()
                if full.startswith(roots):
                    yield full
    yield from _IN_TEXT.findall(text)


def distribution() -> list[str]:
    """The names of the package, its extras and its commands; a command's module is its own."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [f"extra {name}" for name in sorted(project["optional-dependencies"])]
    scripts = [f"command {name}" for name in sorted(project["scripts"])]
    python = [f"for Python {project['requires-python']}"]
    return [f"distribution {project['name']}", *extras, *scripts, *python]
