"""`mql token`: create, list and revoke the tokens of the HTTP server."""

from __future__ import annotations

import time
from pathlib import Path

import click

from cli.arguments import FORMATS, read_life
from cli.terminal import tell

_SCOPES = ("query", "trace", "admin")


_tokens = click.option(
    "--tokens",
    "path",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="MQL_TOKENS",
    default="tokens.json",
    show_default=True,
    help="The file that `mql serve --tokens` reads. [MQL_TOKENS]",
)


@click.group()
def token() -> None:
    """Tokens for the HTTP server: who may ask what.

    The file holds only their hashes; a secret is shown once, when it is made. A running server
    reads the file again when it changes.
    """


@token.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(_SCOPES),
    multiple=True,
    default=("query", "trace"),
    show_default=True,
    help="What it may do; repeat it for more. admin holds all, and others' queries too.",
)
@click.option(
    "--stream",
    "streams",
    metavar="PATTERN",
    multiple=True,
    default=("*",),
    show_default=True,
    help="The streams that it may read, * for any letters; repeat it for more.",
)
@click.option(
    "--queries", type=click.IntRange(1), default=10, show_default=True, help="At once, at most."
)
@click.option(
    "--per-minute", type=click.IntRange(1), default=600, show_default=True, help="Requests."
)
@click.option(
    "--for", "life_ms", metavar="SPAN", callback=read_life, help="How long it is good: 12h, 30m."
)
@_tokens
def create(
    name: str,
    scopes: tuple[str, ...],
    streams: tuple[str, ...],
    queries: int,
    per_minute: int,
    life_ms: int | None,
    path: Path,
) -> None:
    """Make a token called NAME, and print its secret, which is shown nowhere else.

    \b
    Examples:
      mql token create ada
      mql token create dashboard --scope query --stream 'requests*' --queries 3
      mql token create oncall --scope admin --for 12h
    """  # noqa: D301
    import secrets  # noqa: PLC0415 - every command would import it

    from source_jobs.api.auth.token_file import TokenFile  # noqa: PLC0415
    from source_jobs.api.auth.tokens import PREFIX, Scope, Token, digest  # noqa: PLC0415

    secret = PREFIX + secrets.token_urlsafe(32)
    now_ms = time.time_ns() // 1_000_000
    made = Token(
        name,
        digest(secret),
        scopes=tuple(Scope(scope) for scope in scopes),
        streams=streams,
        queries=queries,
        per_minute=per_minute,
        created_ms=now_ms,
        expires_ms=None if life_ms is None else now_ms + life_ms,
    )
    try:
        TokenFile(path).change(lambda book: book.with_token(made))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    tell(secret)


@token.command("list")
@click.option("--output", type=click.Choice(FORMATS), help="The format: a table on a terminal.")
@_tokens
def list_tokens(output: str | None, path: Path) -> None:
    """Show the tokens, without their secrets."""
    from cli.live.records import format_for, write_records  # noqa: PLC0415 - imports the engine
    from source_jobs.api.auth.token_file import TokenFile  # noqa: PLC0415

    try:
        kind, book = format_for(output), TokenFile(path).load()
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    records: list[dict[str, object]] = [
        {
            "name": each.name,
            "scopes": " ".join(each.scopes),
            "streams": " ".join(each.streams),
            "queries": each.queries,
            "per_minute": each.per_minute,
            "created": _day(each.created_ms),
            "expires": None if each.expires_ms is None else _day(each.expires_ms),
        }
        for each in book.tokens
    ]
    columns = ("name", "scopes", "streams", "queries", "per_minute", "created", "expires")
    write_records(kind, records, columns)


@token.command()
@click.argument("name")
@_tokens
def revoke(name: str, path: Path) -> None:
    """Refuse the token NAME from now on, also in a server that runs."""
    from source_jobs.api.auth.token_file import TokenFile  # noqa: PLC0415

    try:
        TokenFile(path).change(lambda book: book.without(name))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _day(time_ms: int) -> str:
    """A time in UTC, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(time_ms / 1000))
