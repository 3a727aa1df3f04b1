"""Environment variables, and the fields of all settings with their defaults."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from typing import Any

import msgspec

from tests.surface import inside
from tests.surface.commands import all_commands
from tests.surface.python_names import default_of
from tests.surface.record import code, text_of

_OURS = re.compile(r"_?MQL_[A-Z_]+")
_SAMPLES = ("1", "a=b", "a,b", "tcp://10.0.0.1:1,tcp://10.0.0.2:2", "2000000")
"""Values that variables may have: each variable takes one of them at least."""


def settings() -> str:
    sections: dict[str, list[str]] = {
        "variables of the environment that are read or set": sorted(_variables()),
        "variables of an agent, and the setting that each gives": sorted(_of_agents()),
        "variables of commands": sorted(_of_commands()),
    }
    kinds: dict[str, type[Any]] = {
        "agent's settings": inside.AgentSettings,
        "source job's settings": inside.JobSettings,
        "limits of what a query may hold": inside.HeldLimits,
        "HTTP server's settings": inside.HttpSettings,
        "HTTP server's limits": inside.HttpLimits,
        "a token in the file of tokens": inside.Token,
        "the file of tokens": inside.TokenBook,
    }
    sections |= {name: list(_fields(kind)) for name, kind in kinds.items()}
    sections["scopes of a token"] = [str(scope) for scope in inside.Scope]
    sections["secrets of tokens begin with"] = [inside.TOKEN_PREFIX]
    return text_of("Whoever runs the parts can set this, and has this if not.", sections)


def _fields(kind: type[Any]) -> Iterator[str]:
    """Fields in their order, which is that of positional arguments, with types and defaults."""
    if is_dataclass(kind):
        for field in fields(kind):
            default = "" if field.default is MISSING else f" = {field.default!r}"
            if field.default_factory is not MISSING:
                default = f" = {field.default_factory()!r}"
            yield f"{field.name}: {field.type}{default}"
        return
    for each in msgspec.structs.fields(kind):
        yield f"{each.name}: {kind.__annotations__[each.name]}{default_of(each)}"


def _variables() -> set[str]:
    """Names in the source that are those of variables, and whatever is looked up there."""
    found: set[str] = set()
    for _, nodes in code():
        for node in nodes:
            match node:
                case ast.Constant(str(name)) if _OURS.fullmatch(name):
                    found.add(name)
                case ast.Call(
                    func=ast.Attribute(value=ast.Attribute(attr="environ")),
                    args=[ast.Constant(str(name)), *_],
                ):
                    found.add(name)
                case ast.Subscript(
                    value=ast.Attribute(attr="environ"), slice=ast.Constant(str(name))
                ):
                    found.add(name)
    return found


class _Watched(dict[str, str]):
    """An environment that notes what is asked of it."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


def _read(environment: Mapping[str, str]) -> inside.AgentSettings:
    nothing = dict.fromkeys(("service", "source_jobs", "version", "tags", "redact"))
    return inside.read_agent_settings(environment, host="h", **nothing)


def _of_agents() -> Iterator[str]:
    asks = _Watched({"MQL_SERVICE": "s"})
    usual = _read(asks)
    both = {"MQL_KEY": "k", "MQL_SERVER_KEY": "k"}
    for name in sorted(asks.asked):
        changed: set[str] = set()
        for sample in _SAMPLES:
            given = {"MQL_SERVICE": "s", **(both if name in both else {}), name: sample}
            before = replace(usual, key="k", server_key="k") if name in both else usual
            try:
                made = _read(given)
            except ValueError:
                continue
            changed |= {
                field.name
                for field in fields(made)
                if getattr(made, field.name) != getattr(before, field.name)
            }
        assert changed, f"no value of {name} sets anything"
        yield f"{name}: {', '.join(sorted(changed))}"


def _of_commands() -> Iterator[str]:
    for context in all_commands():
        for parameter in context.command.params:
            if parameter.envvar:
                name = max(parameter.opts, key=len)
                yield f"{parameter.envvar}: {context.command_path} {name}"
