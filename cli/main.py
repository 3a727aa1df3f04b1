"""The command line of `mql`: commands, options, help, and exit codes.

Exit codes: 0 done (also when the reader of the output has gone), 1 the input or the run failed,
2 the query or the command line is wrong, 130 ended by Ctrl-C. Imports here are only what
`mql check` needs.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import click

from cli.arguments import (
    FORMATS,
    choose_inputs,
    only_query,
    query_and_rest,
    read_duration,
    read_named_inputs,
)
from cli.live.commands import COMMANDS, explain_live
from cli.live.connection import Connection, connection_options
from cli.printable import printable
from cli.terminal import complain, tell, tell_text, warn

PROGRAM = "mql"
SHELLS = ("bash", "zsh", "fish")


class _Commands(click.Group):
    """A group that turns the library's errors into messages and exit codes."""

    def invoke(self, ctx: click.Context) -> object:
        from mql.errors import MQLError, QueryError  # noqa: PLC0415 - not for --help

        try:
            return super().invoke(ctx)
        except QueryError as error:
            warn(*str(error).split("\n"))
            ctx.exit(2)
        except (MQLError, OSError) as error:
            ctx.exit(_failed(error))
        except click.ClickException as error:
            error.message = printable(error.message)  # type: ignore[misc] # click's own, or a name's
            raise
        except MemoryError:
            ctx.exit(_failed(MQLError("it takes more memory than there is")))
        except KeyboardInterrupt:
            _silence_stdout()
            ctx.exit(130)


def _failed(error: Exception) -> int:
    if isinstance(error, BrokenPipeError):
        _silence_stdout()
        return 0
    reason = str(error)
    if isinstance(error, OSError) and error.strerror:
        reason = f"cannot write {error.filename or 'the output'}: {error.strerror}"
    complain(reason)
    if notes := getattr(error, "__notes__", ()):
        warn(*notes)
    return 1


def _silence_stdout() -> None:
    """Point standard output at nothing: Python flushes it at exit, and nobody reads on."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)


def _show_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001
    if value and not ctx.resilient_parsing:
        import mql  # noqa: PLC0415 - only here

        tell(f"{PROGRAM} {mql.__version__}")
        ctx.exit()


_query = click.argument("words", metavar="QUERY", nargs=-1)
_file = click.option(
    "-f",
    "--file",
    "file",
    metavar="QUERYFILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read the query from a file, in place of QUERY.",
)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def main() -> None:
    """MQL, a small SQL for live events: in running services, files and pipes.

    \b
    Examples:
      mql run 'select * from log where status >= 500' access.ndjson
      mql run 'select count(*), path from log group by path order by count(*) desc limit 10' access.ndjson
      tail -f app.log | mql run 'select count(*), level from log window 10 group by level'
      mql query 'select * from requests where status >= 500'

    `mql COMMAND --help` has more, and `mql completion` sets up Tab.
    """  # noqa: D301, E501 - click's \b, and commands that must stay on one line


@main.command()
@click.argument("words", metavar="QUERY [FILE]", nargs=-1)
@_file
@click.option(
    "--from",
    "named",
    metavar="NAME=FILE",
    multiple=True,
    callback=read_named_inputs,
    help="Read a source from a file, for joins and several sources; repeat it for each.",
)
@click.option(
    "--time",
    metavar="PROPERTY",
    help="The events' time: ms or s since 1970, or ISO 8601; recognized, and shown at the end.",
)
@click.option(
    "--lateness",
    "lateness_ms",
    metavar="SPAN",
    default="0s",
    callback=read_duration,
    help="How much later than others an event may come and still count: 500ms, 5s, 2m.",
)
@click.option(
    "--output",
    type=click.Choice(FORMATS),
    help="The format: a table on a terminal, jsonl in a pipe, the suffix's with --out.",
)
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to a file. It appears whole at the end; use > FILE to follow a running query.",
)
@click.option("--plot", is_flag=True, help="Draw numbers per window as lines, others as bars.")
@click.option(
    "--ledger", is_flag=True, help="Add lines about the answer to jsonl, such as warnings."
)
@click.option("--strict", is_flag=True, help="Stop at a line that is not JSON, with exit code 1.")
@click.option("--no-progress", is_flag=True, help="No progress bar.")
@click.pass_context
def run(  # noqa: PLR0913, PLR0917 - an argument for each option
    ctx: click.Context,
    words: tuple[str, ...],
    file: Path | None,
    named: dict[str, str],
    time: str | None,
    lateness_ms: int,
    output: str | None,
    out: Path | None,
    plot: bool,  # noqa: FBT001
    ledger: bool,  # noqa: FBT001
    strict: bool,  # noqa: FBT001
    no_progress: bool,  # noqa: FBT001
) -> None:
    """Run QUERY over FILE, or over standard input if FILE is `-` or missing.

    FILE is the query's one source, whatever its name: NDJSON (also .gz or .zst), CSV, Parquet or
    Arrow, by its name. Windows of time over a file need --time; over a pipe without it, an
    event's time is its arrival. Rows of windows carry _window_start and _window_end (ms) in every
    format but the table. A line that is not JSON is skipped, counted and reported. Ctrl-C prints
    what there is. What the query likely does not mean is said on standard error, as a warning, and
    with --ledger as {"_warning": …} among the rows too.

    csv (of a query with `*`), arrow (an IPC stream) and parquet are written when the query ends,
    because types and columns are known only then; jsonl and tables as rows come.

    \b
    Examples:
      mql run 'select * from s where status >= 500' access.ndjson.gz
      mql run 'select ts, path from s where path like "/api/%" limit 20' access.ndjson
      mql run 'select count(*), p95(ms) from s window 60' access.ndjson --time ts --plot
      mql run 'select count(*) from s window 3600 group by path' a.ndjson --time ts --out busy.csv
      mql run 'select * from a join b 5 seconds on id' --from a=a.ndjson --from b=b.ndjson --time t
      mql run --file errors.mql access.ndjson --output parquet --out errors.parquet
      tail -f app.log | mql run 'select count(*), level from s window 10 group by level'
    """  # noqa: D301
    text, files = query_and_rest(words, file)
    inputs = choose_inputs(files, named)
    import mql  # noqa: PLC0415 - not for --help

    # A wrong query is the better news where standard input is missing too.
    query = mql.parse(text)
    if not (files or named) and sys.stdin.isatty():
        raise click.UsageError("no input: name a FILE, or pipe events in (or give - to type them)")
    from cli.run import RunOptions  # noqa: PLC0415 - imports the engine
    from cli.run import run as run_query  # noqa: PLC0415

    options = RunOptions(
        inputs=inputs,
        time=time,
        lateness_ms=lateness_ms,
        output=output,
        out=out,
        plot=plot,
        ledger=ledger,
        strict=strict,
        progress=not no_progress,
    )
    ctx.exit(run_query(query, options))


@main.command()
@_query
@_file
@click.option("--live", is_flag=True, help="Check for a live stream, which refuses some queries.")
@click.option(
    "--output", type=click.Choice(("text", "json")), default="text", help="For people or programs."
)
@click.pass_context
def check(
    ctx: click.Context,
    words: tuple[str, ...],
    file: Path | None,
    live: bool,  # noqa: FBT001
    output: str,
) -> None:
    """Say whether QUERY can run, without running it, and what it likely does not mean.

    The exit code is 0, or 2 with a message that shows the place and what was expected. Warnings
    change nothing: with text they go to standard error, with json they are in the answer.

    \b
    Examples:
      mql check 'select count(*) from s window 10'
      mql check --file errors.mql
      mql check --live 'select count(*) from s window 10'
      mql check --output json 'select path from s order by -ms' | jq .warnings
    """  # noqa: D301
    text = only_query(words, file)
    from cli.check import check_query  # noqa: PLC0415 - not for --help

    ctx.exit(check_query(text, live=live, output=output))


@main.command()
@_query
@_file
@click.option("--rules", is_flag=True, help="Show each rule of the planner that fired.")
@click.option("--screen", is_flag=True, help="Show the code that runs inside `publish` instead.")
@click.option(
    "--live", is_flag=True, help="Run it for a moment, and show what each agent does with it."
)
@connection_options
@click.pass_context
def explain(  # noqa: PLR0913, PLR0917 - its options
    ctx: click.Context,
    words: tuple[str, ...],
    file: Path | None,
    rules: bool,  # noqa: FBT001
    screen: bool,  # noqa: FBT001
    live: bool,  # noqa: FBT001
    address: str,
    key: Path | None,
    server_key: str | None,
) -> None:
    """Show what QUERY becomes on its way to an answer.

    Those are the query as understood, its plan, the plan split into what runs in the services and
    what runs in the source job, and the operators that run. With --screen: the code that looks at
    each event inside a service, on the thread that publishes it. With --live: what each agent does
    with it, the share of events that it selects and its cost, as measured there, and refusals.

    \b
    Examples:
      mql explain 'select count(*), path from s where status >= 500 window 60 group by path'
      mql explain --rules 'select a from s where not (b != 1)'
      mql explain --screen 'select * from s where status >= 500'
      mql explain --live 'select * from requests where status >= 500'
    """  # noqa: D301
    text = only_query(words, file)
    if live:
        ctx.exit(explain_live(text, Connection(address, key, server_key)))
    if screen:
        from publish_agent.drain.subscription import screen_source  # noqa: PLC0415 - not for --help

        tell_text(screen_source(text))
        return
    import mql  # noqa: PLC0415 - not for --help

    tell_text(mql.explain(text, rules=rules))


@main.command()
@click.argument("shell", type=click.Choice(SHELLS), required=False)
def completion(shell: str | None) -> None:
    """Print the script that makes Tab complete commands, options and files.

    SHELL is yours if left out. Put the line for your shell into its start-up file.

    \b
    bash, ~/.bashrc:                   eval "$(mql completion bash)"
    zsh, ~/.zshrc:                     eval "$(mql completion zsh)"
    fish, ~/.config/fish/config.fish:  mql completion fish | source
    """  # noqa: D301
    from click.shell_completion import get_completion_class  # noqa: PLC0415

    name = shell or Path(os.environ.get("SHELL", "bash")).name
    kind = get_completion_class(name)
    if kind is None:
        raise click.UsageError(f"no completion for {name}; there is {', '.join(SHELLS)}")
    tell_text(kind(main, {}, PROGRAM, "_MQL_COMPLETE").source())


for _command in COMMANDS:
    main.add_command(_command)
