"""What is logged: the named loggers, and the text of every line."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.surface import inside
from tests.surface.live import seen
from tests.surface.record import code, text_of

_LEVELS = ("debug", "info", "warning", "error", "exception", "critical")


def logs() -> str:
    loggers: set[str] = set()
    lines: set[str] = set()
    for package, nodes in code():
        for node in nodes:
            if isinstance(node, ast.Call):
                loggers |= set(_logger(node, package))
                lines |= set(_line(node))
    about = "Logs have these loggers and lines; a named logger keeps its name wherever its file is."
    sections = {
        "loggers": sorted(loggers),
        "lines": sorted(lines),
        "lines of an agent": sorted(f"{line.name}: {line.value}" for line in inside.AgentLine),
    }
    sections |= {f"fields of {name}": sorted(keys) for name, keys in seen().logged.items()}
    return text_of(about, sections)


def _logger(call: ast.Call, package: str) -> Iterator[str]:
    match call:
        case ast.Call(func=ast.Attribute(attr="getLogger"), args=[ast.Constant(str(name))]):
            yield name
        case ast.Call(func=ast.Attribute(attr="getLogger"), args=[ast.Name("__name__")]):
            yield f"{package}.… (as the module is called)"


def _line(call: ast.Call) -> Iterator[str]:
    """The level and the text of a call that logs."""
    match call:
        case ast.Call(
            func=ast.Attribute(value=ast.Name(logger), attr=level),
            args=[ast.Constant(str(text)), *_],
        ) if level in _LEVELS and logger.strip("_").lower() in ("log", "logger", "audit", "access"):
            yield f"{level}: {text}"
        case ast.Call(
            func=ast.Attribute(value=ast.Name(logger), attr="log"),
            args=[_, ast.Constant(str(text)), *_],
        ) if logger.strip("_").lower() in ("log", "logger", "audit", "access"):
            yield f"by its status: {text}"
        case ast.Call(
            func=ast.Name("log_apart"),
            args=[_, ast.Attribute(attr=level), ast.Constant(str(text)), *_],
        ):
            yield f"{level.lower()}: {text}"
