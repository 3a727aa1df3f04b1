"""Every command of `mql`: its arguments and options, their defaults and variables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from tests.surface import inside
from tests.surface.record import text_of


def commands() -> str:
    sections = {context.command_path: list(_about(context)) for context in all_commands()}
    return text_of("`mql` has these commands, with these arguments and options.", sections)


def all_commands() -> Iterator[click.Context]:
    """Each command with what it is called by; groups too."""
    yield from _below(click.Context(inside.COMMAND, info_name="mql", **_settings(inside.COMMAND)))


def _below(context: click.Context) -> Iterator[click.Context]:
    yield context
    if isinstance(context.command, click.Group):
        for name, inner in sorted(context.command.commands.items()):
            yield from _below(click.Context(inner, context, name, **_settings(inner)))


def _settings(command: click.Command) -> dict[str, Any]:
    return dict(command.context_settings)


def _about(context: click.Context) -> Iterator[str]:
    command = context.command
    if isinstance(command, click.Group):
        yield "has commands of its own"
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    options = [each for each in command.params if isinstance(each, click.Option)]
    for argument in arguments:  # in their order
        many = " …" if argument.nargs != 1 else ""
        needed = "" if argument.required else ", may be left out"
        yield f"argument {argument.make_metavar(context)}{many}{_kind(argument)}{needed}"
    yield from sorted(_option(each, context) for each in options)
    yield "option " + ", ".join(sorted(context.help_option_names, reverse=True))


def _option(option: click.Option, context: click.Context) -> str:
    names = ", ".join(sorted([*option.opts, *option.secondary_opts], reverse=True))
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    again = ", may be repeated" if option.multiple else ""
    needed = ", required" if option.required else ""
    hidden = ", hidden" if option.hidden else ""
    default = _default(option, context)
    variable = f", variable {option.envvar}" if option.envvar else ""
    return f"option {names}{value}{_kind(option)}{again}{needed}{hidden}{default}{variable}"


def _kind(parameter: click.Parameter) -> str:
    match parameter.type:
        case click.IntRange(min=least, max=most):
            return f", integer from {least} to {most}"
        case click.Choice(choices=choices):
            return f", one of {' '.join(map(str, choices))}"
        case click.Path():
            kinds = [k for k in ("exists", "file_okay", "dir_okay") if getattr(parameter.type, k)]
            return f", path ({', '.join(kinds)})"
        case click.types.IntParamType():
            return ", integer"
        case click.types.StringParamType() | click.types.BoolParamType():
            return ""
        case kind:
            return f", {kind.name}"


def _default(option: click.Option, context: click.Context) -> str:
    default = option.get_default(context, call=False)
    if isinstance(default, str | int | float) and default is not False:
        return f", default {default}"
    if isinstance(default, tuple | list) and default:
        return f", default {' '.join(map(str, default))}"
    return ""
