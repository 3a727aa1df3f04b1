"""Help texts, start-up, version, completion: what a person meets first."""

from __future__ import annotations

import re
import resource
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

import click
import pytest

import mql
from cli.main import main
from tests.cli.support import command, environment, run_mql

MAX_START_S = 0.25
USUAL_IMPORTS_S = 0.08
"""What importing click and lark takes on an idle core of an EPYC (Zen 4)."""
HEAVY = ("numpy", "pyarrow", "rich", "plotext", "polars")


def _examples() -> list[str]:
    texts = [main.help or "", *(each.help or "" for each in main.commands.values())]
    return [line.strip() for text in texts for line in text.splitlines() if " mql " in f" {line}"]


def _query_of(example: str) -> str | None:
    words = shlex.split(example)
    rest = words[words.index("mql") + 2 :]
    return next((word for word in rest if word.startswith("select")), None)


def test_there_are_examples_for_every_command_that_takes_a_query() -> None:
    for name in ("run", "check", "explain", "query"):
        assert any(f"mql {name} 'select" in example for example in _examples())


@pytest.mark.parametrize("example", [e for e in _examples() if "'select" in e])
def test_an_example_in_a_help_text_is_valid(example: str) -> None:
    query = _query_of(example)
    assert query is not None
    mql.plan(query)
    words = shlex.split(next(part for part in example.split(" | ") if "mql " in part))[1:]
    used = main.commands[words[0]]
    known = {o for p in used.params if isinstance(p, click.Option) for o in p.opts}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("name", ["", *sorted(main.commands)])
def test_help_comes_by_both_names(name: str) -> None:
    long, short = (run_mql(*filter(None, [name]), flag) for flag in ("--help", "-h"))
    assert long.stdout == short.stdout
    assert long.stdout.startswith(b"Usage: mql")


def test_version() -> None:
    assert run_mql("--version").stdout.decode() == f"mql {mql.__version__}\n"


def test_explain_prints_the_plan() -> None:
    query = "select a from s where not (b != 1)"
    plain = run_mql("explain", query).stdout.decode()
    rules = run_mql("explain", "--rules", query).stdout.decode()
    assert "select a" in plain
    assert len(rules) > len(plain)


def test_explain_prints_the_screen() -> None:
    code = run_mql("explain", "--screen", "select a from s where b == 'x'").stdout.decode()
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102 - whether it is Python
    assert set(names) >= {"offer", "sort"}
    assert "index0" in code


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    assert b"_MQL_COMPLETE" in run_mql("completion", shell).stdout


def imported(names: tuple[str, ...], arguments: list[str]) -> bytes:
    """Which of some modules a command imports, or what it has to complain of."""
    code = (
        "import sys\nfrom cli.main import main\n"
        f"try:\n    main({arguments!r}, prog_name='mql')\nexcept SystemExit:\n    pass\n"
        f"sys.exit(' '.join(m for m in {names!r} if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    return done.stderr.strip()


@pytest.mark.parametrize("arguments", [["check", "select * from s"], ["--help"], ["--version"]])
def test_small_commands_import_nothing_heavy(arguments: list[str]) -> None:
    assert imported(HEAVY, arguments) == b""


@pytest.mark.parametrize("query", ["select * where a > 1", "select count(*) window 10 group by b"])
def test_a_run_imports_no_wrappers_and_no_masked_arrays(query: str, tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_text('{"a": 2, "b": "x", "ts": 1700000000000}\n', encoding="utf-8")
    arguments = ["run", query, str(file), "--time", "ts"]
    said = imported(("numpy.ma", "pyarrow.compute"), arguments)
    assert said == b"mql: time: `ts`, milliseconds since 1970"


def test_check_starts_fast(tmp_path: Path) -> None:
    # As installed, with compiled files, which the first run writes. Time on the processor, and
    # the median of five: on a busy machine the clock measures the others.
    env = environment(PYTHONDONTWRITEBYTECODE="", PYTHONPYCACHEPREFIX=str(tmp_path))
    # Where even importing the two libraries takes long, the machine is slow, not the command.
    libraries = [sys.executable, "-c", "import click, lark"]
    check = command("check", "select * from s")
    least, taken = [], []
    for _ in range(6):
        least.append(_used_by(libraries, env))
        taken.append(_used_by(check, env))
    slowness = max(1.0, statistics.median(least[1:]) / USUAL_IMPORTS_S)
    assert statistics.median(taken[1:]) < MAX_START_S * slowness, (least, taken)


def _used_by(words: list[str], env: dict[str, str]) -> float:
    before = _used_s()
    subprocess.run(words, env=env, capture_output=True, check=True, timeout=60)
    return _used_s() - before


def _used_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_examples_are_not_wrapped() -> None:
    shown = re.sub(r" +", " ", run_mql("run", "--help").stdout.decode())
    for example in _examples():
        if "mql run" in example and example in (main.commands["run"].help or ""):
            assert re.sub(r" +", " ", example) in shown
