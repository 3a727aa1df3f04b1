"""The commands of a run: each to its end, in this process where that shows the same."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from functools import partial
from pathlib import Path

from click.testing import CliRunner, Result

from source_jobs import SourceJob, connect
from tests.cli.support import command, environment
from tests.live.support import source_job, until
from tests.surface import inside
from tests.surface.noted import LIMIT_S, ROWS, TRACED, WINDOWS, Seen, keys_in


def after_a_gap(found: Seen) -> None:
    """A command whose source job is another one after a while."""
    with source_job() as job:
        places = job.agents_address, job.clients_address
        words = ("query", "select a from s", "--ledger", "--source-job", places[1])
        process = _started(*words)
        with connect(places[1]) as client:
            until(client.queries)
    with SourceJob(*places), process:
        assert process.stdout is not None
        for line in process.stdout:
            if b"_gap" in line:
                found.outputs["mql query --ledger, after a gap"] = keys_in(json.loads(line))
                break
        process.kill()


def run_commands(found: Seen, job: SourceJob, folder: Path) -> None:
    address = {"MQL_SOURCE_JOB": job.clients_address, "MQL_TOKENS": str(folder / "tokens.json")}
    run = partial(_run, found, address)
    events = folder / "events.ndjson"
    events.write_text('{"t": 1, "a": 1}\n', encoding="utf-8")
    run("mql run, rows", "run", "select a from s", str(events))
    run("mql run, windows", "run", "select a from s window 1", str(events), "--time", "t")
    run("mql run --ledger, with a warning", "run", "select b from s", str(events), "--ledger")
    run("mql check --output json", "check", "--output", "json", "select a order by -a")
    run("mql query, rows", "query", ROWS, "--limit-rows", "1")
    run("mql query --ledger, rows", "query", ROWS, "--ledger", for_ms=300, needs="_ledger")
    complete = ("query", WINDOWS, "--ledger", "--require", "1%")
    run("mql query --ledger, windows", *complete, for_ms=500, needs="n")
    run("mql streams", "streams")
    run("mql agents", "agents")
    run("mql trace", "trace", TRACED, for_ms=700, needs="stream")
    with connect(job.clients_address, user="me") as client, client.subscribe(ROWS) as answer:
        next(iter(answer))
        run("mql queries", "queries")
        run("mql cancel", "cancel", str(answer.query_id))
    run("mql token create", "token", "create", "ada", "--for", "1h")
    run("mql token list", "token", "list", "--output", "jsonl")
    run("mql keygen", "keygen", "ada", "--dir", str(folder))
    _codes(found, address, folder)


def _run(
    found: Seen,
    variables: dict[str, str],
    name: str,
    *words: str,
    for_ms: int = 0,
    needs: str | None = None,
) -> None:
    """Run a command, for longer until its lines have a key, and note their keys."""
    keys = found.outputs[name] = set()
    said = ""
    for each_ms in [for_ms << more for more in range(5 if for_ms else 1)]:
        done = _invoke(variables, *words, *(("--for", f"{each_ms}ms") if for_ms else ()))
        said = done.output
        if done.exit_code:
            continue  # no window was covered, as a machine may stall
        found.codes.setdefault(name, 0)
        for line in done.stdout.splitlines():
            keys |= keys_in(json.loads(line)) if line.startswith("{") else {_text(line)}
        if needs is None or needs in keys:
            return
    raise AssertionError(f"{words}: no {needs}, {said}")


def _text(line: str) -> str:
    """A line of text without what is another one each time."""
    return re.sub(r"(mql_)[\w-]{43}|\d+|/.*/", r"\1…", line)


def _invoke(variables: dict[str, str], *words: str) -> Result:
    return CliRunner().invoke(inside.COMMAND, words, env=variables, prog_name="mql")


def _codes(found: Seen, variables: dict[str, str], folder: Path) -> None:
    tokens = ("token", "list", "--tokens", str(folder / "none.json"))
    for name, words in (
        ("a good query", ("check", "select a from s")),
        ("a wrong query", ("check", "select from")),
        ("a wrong query, live", ("query", "select count(*) from s")),
        ("no such command", ("chek",)),
        ("no such option", ("run", "select a", "--nope")),
        ("a wrong argument", ("query", "select a", "--for", "5x")),
        ("no such file of events", ("run", "select a from s", str(folder / "none"))),
        ("no such file of a query", ("check", "--file", str(folder / "none"))),
        ("no such file of tokens", tokens),
        ("no such query to cancel", ("cancel", "999")),
    ):
        found.codes[name] = _invoke(variables, *words).exit_code


def _started(*words: str) -> subprocess.Popen[bytes]:
    """A process for what one command cannot show in another program."""
    return subprocess.Popen(
        command(*words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )


def close_pipe(found: Seen, folder: Path) -> None:
    file = folder / "many.ndjson"
    file.write_text('{"a": 1}\n' * 50_000, encoding="utf-8")
    with _started("run", "select a from s", str(file)) as process:
        assert process.stdout is not None
        process.stdout.close()
        found.codes["the reader of the output has gone"] = process.wait(LIMIT_S)


def interrupt(found: Seen) -> None:
    with _started("run", "select a from s", "-") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b'{"a": 1}\n')
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        found.codes["Ctrl-C"] = process.wait(LIMIT_S)


def ask_nobody(found: Seen) -> None:
    with _started("streams", "--source-job", "tcp://127.0.0.1:9") as process:
        found.codes["no source job"] = process.wait(LIMIT_S)


def ask_too_much(found: Seen, address: str) -> None:
    query = ("query", "select a from nowhere", "--for", "100ms", "--require", "exact")
    with _started(*query, "--source-job", address) as process:
        found.codes["not as complete as --require"] = process.wait(LIMIT_S)
