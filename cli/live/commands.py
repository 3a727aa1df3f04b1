"""The live commands: their arguments, options and help."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.arguments import FORMATS, only_query, read_duration, read_life
from cli.live.connection import Connection, connection_options
from cli.live.http import HttpOptions, http_options
from cli.live.token import token
from cli.terminal import tell

if TYPE_CHECKING:
    from cli.live.requirement import Requirement

_FILE = click.Path(dir_okay=False, path_type=Path)
_DIRECTORY = click.Path(file_okay=False, path_type=Path)


def _requirement(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> Requirement | None:
    from cli.live.requirement import read_requirement  # noqa: PLC0415 - imports the engine

    if value is None:
        return None
    try:
        return read_requirement(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


_output = click.option(
    "--output",
    type=click.Choice(FORMATS),
    help="The format: a table on a terminal, jsonl in a pipe.",
)
_for = click.option(
    "--for",
    "ttl_ms",
    metavar="SPAN",
    callback=read_life,
    help="End after this time: 500ms, 60s, 5m. Else Ctrl-C ends it.",
)


@click.command()
@click.argument("words", metavar="QUERY", nargs=-1)
@click.option("-f", "--file", type=_FILE, metavar="QUERYFILE", help="Read the query from a file.")
@connection_options
@_for
@click.option(
    "--limit-rows", type=click.IntRange(min=1), metavar="N", help="End after so many rows."
)
@click.option(
    "--time",
    metavar="PROPERTY",
    help="The events' time: ms or s since 1970, or ISO 8601; left out, when they were published.",
)
@click.option(
    "--lateness",
    "lateness_ms",
    metavar="SPAN",
    default="0s",
    callback=read_duration,
    help="With --time: how late an event may come and still count: 500ms, 5s, 2m.",
)
@_output
@click.option("--out", metavar="FILE", type=_FILE, help="Write to a file, whole at the end.")
@click.option("--plot", is_flag=True, help="Draw numbers per window as lines, others as bars.")
@click.option("--ledger", is_flag=True, help="Add lines to jsonl that say how complete it is.")
@click.option("--group", metavar="NAME", help="Share the rows with all who name this group.")
@click.option(
    "--require",
    metavar="exact|95%",
    callback=_requirement,
    help="Exit with code 3 if the answer is not as complete as this.",
)
@click.pass_context
def query(  # noqa: PLR0913, PLR0917 - an argument for each option
    ctx: click.Context,
    words: tuple[str, ...],
    file: Path | None,
    address: str,
    key: Path | None,
    server_key: str | None,
    ttl_ms: int | None,
    limit_rows: int | None,
    time: str | None,
    lateness_ms: int,
    output: str | None,
    out: Path | None,
    plot: bool,  # noqa: FBT001
    ledger: bool,  # noqa: FBT001
    group: str | None,
    require: Requirement | None,
) -> None:
    """Ask running services QUERY, and write the answer as it comes.

    Under a table stands how complete the answer is: the agents that reported of those that should
    have, the events they saw, and whether that makes the answer exact, a lower bound or an
    estimate. With --ledger this comes as lines of NDJSON among the rows, {"_ledger": …}, for each
    window or second; and {"_gap": …} where the connection was lost. Warnings go to standard error.
    Ctrl-C prints what there is; the exit code is then 130. With --require it is 3 if a window that
    the query covered, or the whole answer, is not complete enough, or if no agent was there to ask;
    the answer is printed all the same.

    \b
    Examples:
      mql query 'select * from requests where status >= 500'
      mql query 'select count(*) from orders window 10' --for 60s --require 99.5%
      mql query 'select count(*), path from requests window 10 group by path' --for 60s
      mql query 'select p95(ms) from requests window 5' --plot
      mql query 'select * from requests where user_id == 7' --limit-rows 10 --output csv
      mql query 'select count(*) from requests window 10' --ledger | jq ._ledger.exactness
    """  # noqa: D301
    text = only_query(words, file)
    from cli.live.query import QueryOptions  # noqa: PLC0415 - imports the engine
    from cli.live.query import query as run_query  # noqa: PLC0415
    from cli.run import RunOptions  # noqa: PLC0415

    rows = RunOptions({}, time, lateness_ms, output=output, out=out, plot=plot, ledger=ledger)
    connection = Connection(address, key, server_key)
    options = QueryOptions(connection, rows, ttl_ms, limit_rows, group=group, require=require)
    ctx.exit(run_query(text, options))


@click.command()
@click.argument("words", metavar="[STREAM.]PROPERTY=VALUE…", nargs=-1, required=True)
@connection_options
@_for
@_output
@click.pass_context
def trace(
    ctx: click.Context,
    words: tuple[str, ...],
    address: str,
    key: Path | None,
    server_key: str | None,
    ttl_ms: int | None,
    output: str | None,
) -> None:
    """Follow one user, order or request through several streams, as one timeline.

    PROPERTY=VALUE is looked for in every stream whose events have that property, and
    STREAM.PROPERTY=VALUE in that stream. A value that looks like a number matches the number and
    the string. Events are written in the order of their times, half a second after they come.

    \b
    Examples:
      mql trace user_id=u123 --for 5m
      mql trace requests.user_id=u123 "playback.e['user']['id']=u123" --for 5m
      mql trace requests.order=1042 payments.order=1042 --output jsonl
    """  # noqa: D301
    from cli.live.trace import trace as run_trace  # noqa: PLC0415 - imports the engine

    ctx.exit(run_trace(words, Connection(address, key, server_key), ttl_ms, output))


@click.command()
@connection_options
@_output
@click.pass_context
def streams(
    ctx: click.Context, address: str, key: Path | None, server_key: str | None, output: str | None
) -> None:
    """Show the streams that agents offer: rate, fields seen, their types, an example of each.

    \b
    Examples:
      mql streams
      mql streams --output jsonl | jq .fields
    """  # noqa: D301
    ctx.exit(_show("streams", Connection(address, key, server_key), output))


@click.command()
@connection_options
@_output
@click.pass_context
def agents(
    ctx: click.Context, address: str, key: Path | None, server_key: str | None, output: str | None
) -> None:
    """Show the agents: service, host, version, streams, lag, clock offset, events dropped."""
    ctx.exit(_show("agents", Connection(address, key, server_key), output))


@click.command()
@connection_options
@_output
@click.pass_context
def queries(
    ctx: click.Context, address: str, key: Path | None, server_key: str | None, output: str | None
) -> None:
    """Show the running queries: who asked, the cost in the agents, rows out."""
    ctx.exit(_show("queries", Connection(address, key, server_key), output))


@click.command()
@click.argument("number", metavar="ID", type=int)
@connection_options
@click.pass_context
def cancel(
    ctx: click.Context, number: int, address: str, key: Path | None, server_key: str | None
) -> None:
    """End the query ID, as `mql queries` shows it, for all who asked it."""
    from cli.live.show import cancel as run_cancel  # noqa: PLC0415 - imports zmq

    ctx.exit(run_cancel(number, Connection(address, key, server_key)))


@click.command()
@click.option(
    "--agents",
    metavar="ADDR",
    default="tcp://127.0.0.1:7766",
    show_default=True,
    help="Where agents connect to; port * takes a free one.",
)
@click.option(
    "--clients",
    metavar="ADDR",
    default="tcp://127.0.0.1:7767",
    show_default=True,
    help="Where clients connect to.",
)
@click.option(
    "--key", metavar="FILE", type=_FILE, envvar="MQL_KEY", help="The secret key. [MQL_KEY]"
)
@click.option(
    "--allow-agents", metavar="DIR", type=_DIRECTORY, help="The public keys of those agents let in."
)
@click.option(
    "--allow-clients", metavar="DIR", type=_DIRECTORY, help="The public keys of clients let in."
)
@click.option("--insecure", is_flag=True, help="Listen to other machines without keys.")
@click.option(
    "--from",
    "sources",
    metavar="ADDR",
    multiple=True,
    help="Ask another source job, its clients' side; may be given again, with what follows.",
)
@click.option(
    "--from-server-key", "server_keys", metavar="FILE", multiple=True, help="Its public key."
)
@click.option("--query", "texts", metavar="QUERY", multiple=True, help="What to ask there.")
@click.option(
    "--as", "streams", metavar="STREAM", multiple=True, help="The stream that its rows become here."
)
@click.option(
    "--http",
    metavar="[HOST:]PORT",
    help="Serve the page, the API and metrics too, at a port of this machine or of HOST.",
)
@http_options
@click.pass_context
def serve(  # noqa: PLR0913, PLR0917 - an argument for each option
    ctx: click.Context,
    agents: str,
    clients: str,
    key: Path | None,
    allow_agents: Path | None,
    allow_clients: Path | None,
    insecure: bool,  # noqa: FBT001
    sources: tuple[str, ...],
    server_keys: tuple[str, ...],
    texts: tuple[str, ...],
    streams: tuple[str, ...],
    http: str | None,
    tokens: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    cors: tuple[str, ...],
    names: tuple[str, ...],
    audit: Path | None,
    log_json: bool,  # noqa: FBT001
) -> None:
    """Run a source job: agents and clients connect to it. Ctrl-C ends it.

    Without keys it listens to this machine only. With --key it listens anywhere, and lets in those
    whose public keys are in the two directories.

    With --http it serves the page, in a process of its own. That listens to this machine only, or,
    with --tokens and TLS, anywhere. With --key its key has to be among the clients' too.

    \b
    Examples:
      mql serve
      mql serve --http 7768
      mql serve --http 0.0.0.0:7768 --tokens tokens.json --tls-cert tls.crt --tls-key tls.key
      mql serve --agents 'tcp://*:7766' --key job.key_secret --allow-agents a --allow-clients c
      mql serve --from tcp://b:7767 --query 'select * from log where status >= 500' --as errors
    """  # noqa: D301
    if not len(sources) == len(texts) == len(streams) or not all((*sources, *texts, *streams)):
        raise click.UsageError("--from ADDR, --query QUERY and --as STREAM go together")
    if len(server_keys) not in {0, len(sources)}:
        raise click.UsageError("--from-server-key goes with each --from, or with none")
    over_http = None
    if http is not None:
        over_http = HttpOptions(
            http, tokens, tls_cert, tls_key, cors, names, audit, log_json, insecure
        )
    from cli.live.serve import ServeOptions, Upstream  # noqa: PLC0415 - imports zmq
    from cli.live.serve import serve as run_serve  # noqa: PLC0415

    keys = server_keys or (None,) * len(sources)
    upstreams = tuple(map(Upstream, sources, texts, streams, keys))
    ctx.exit(
        run_serve(
            ServeOptions(
                agents,
                clients,
                key=key,
                allow_agents=allow_agents,
                allow_clients=allow_clients,
                insecure=insecure,
                upstreams=upstreams,
                http=over_http,
            )
        )
    )


@click.command()
@click.argument("name")
@click.option(
    "--dir",
    "directory",
    metavar="DIR",
    default=".",
    type=_DIRECTORY,
    help="Where to write them; this directory if left out.",
)
def keygen(name: str, directory: Path) -> None:
    """Make a pair of keys: NAME.key for others, NAME.key_secret for its owner alone.

    \b
    Examples:
      mql keygen job
      mql keygen checkout --dir keys
    """  # noqa: D301
    from source_jobs.security.keys import make_keys  # noqa: PLC0415 - imports zmq

    try:
        public, secret = make_keys(name, directory)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    tell(str(public), str(secret))


def explain_live(text: str, connection: Connection) -> int:
    """`mql explain --live`. Returns the exit code."""
    from cli.live.show import explain_live as run_explain  # noqa: PLC0415 - imports zmq

    return run_explain(text, connection)


def _show(what: str, connection: Connection, output: str | None) -> int:
    from cli.live.show import show  # noqa: PLC0415 - imports zmq

    return show(what, connection, output)


COMMANDS = (query, trace, streams, agents, queries, cancel, serve, keygen, token)
