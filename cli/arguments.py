"""What may stand on the command line: spans of time, named inputs, a query or its file."""

from __future__ import annotations

from pathlib import Path

import click

from mql.language.durations import read_duration_ms

FORMATS = ("table", "jsonl", "csv", "arrow", "parquet")

ANY = "*"
"""The query's one source, whatever its name."""

STDIN = "-"
"""Standard input, where a file is named."""


def read_duration(_ctx: click.Context, _param: click.Parameter, value: str) -> int:
    """A span as in a query, `5`, `500ms` or `1m30s`, as milliseconds. Raises click.BadParameter."""
    try:
        return read_duration_ms(value.strip())
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: {error}") from None


def read_life(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """How long something is to live, in ms, if that is said. Raises click.BadParameter."""
    if value is None:
        return None
    life_ms = read_duration(ctx, param, value)
    if not life_ms:
        option = param.opts[0]
        raise click.BadParameter(f"{value!r} is no time at all; without {option} there is no end")
    return life_ms


def read_named_inputs(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """Each `NAME=FILE`, split at the first `=`. Raises click.BadParameter."""
    inputs: dict[str, str] = {}
    for value in values:
        name, _, file = value.partition("=")
        if not name or not file:
            raise click.BadParameter(f"{value!r} is not NAME=FILE, such as a=access.ndjson")
        if name in inputs:
            raise click.BadParameter(f"two files for {name!r}")
        inputs[name] = file
    return inputs


def query_and_rest(words: tuple[str, ...], file: Path | None) -> tuple[str, tuple[str, ...]]:
    """The text of the query, from its file or else the first word, and the words after it.

    Raises click.UsageError.
    """
    if file is None:
        if not words:
            raise click.UsageError("Missing argument 'QUERY' (or --file QUERYFILE).")
        return words[0], words[1:]
    try:
        return file.read_text(encoding="utf-8"), words
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"cannot read the query from {file}: {error}") from None


def only_query(words: tuple[str, ...], file: Path | None) -> str:
    """The text of the query, where nothing else may stand. Raises click.UsageError."""
    text, rest = query_and_rest(words, file)
    if rest:
        raise click.UsageError(f"one query, please; quote it: '{' '.join((text, *rest))}'")
    return text


def choose_inputs(files: tuple[str, ...], named: dict[str, str]) -> dict[str, str]:
    """Input files by source name. Raises click.UsageError."""
    if len(files) > 1:
        raise click.UsageError(f"one FILE, not {len(files)}; name several by --from NAME=FILE")
    if files and named:
        raise click.UsageError("either FILE or --from, not both")
    if list(named.values()).count(STDIN) > 1:
        raise click.UsageError("standard input can be one source, not two")
    return named or {ANY: files[0] if files else STDIN}
