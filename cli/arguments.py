"""What may stand on the command line: spans of time, named inputs, a query or its file."""

from __future__ import annotations

import re
from pathlib import Path

import click

FORMATS = ("table", "jsonl", "csv", "arrow", "parquet")

ANY = "*"
"""The query's one source, whatever its name."""

STDIN = "-"
"""Standard input, where a file is named."""

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


def read_duration(_ctx: click.Context, _param: click.Parameter, value: str) -> int:
    """`500ms`, `5s`, `2m`, `1h` as milliseconds. Raises click.BadParameter."""
    match = _DURATION.fullmatch(value.strip())
    if not match:
        raise click.BadParameter(f"{value!r} is no span of time; write 500ms, 5s, 2m or 1h")
    return round(float(match[1]) * _UNITS_MS[match[2]])


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
