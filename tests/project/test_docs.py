"""Every example in README.md and docs/*.md is run, and answers what is printed there.

An example is a fenced block; the words after the fence say what it is.

    events NAME   events, one JSON object a line: the source NAME from here on, and the file
                  NAME.ndjson for commands. If they have a `t`, that is their time.
    mql           a query over them. A block of `rows` or `error` has to follow.
    rows          the query's answer, the lines of JSON as they are written.
    error         the message that refuses the query, whole.
    console       `$ ` and a command, then what it prints: first on standard output, then on
                  standard error, where the note on how times are written may be left out.
                  A line that is only `…` stands for any lines.
    console live  the same, asked of the running shop of `make demo`. Numbers, times, blanks,
                  lines of dashes, and which service, path or provider it was may differ.
    python        lines with `>>>`, or plain code; one namespace for each page.
    python live   the same, with the shop at the addresses that source jobs have by default.

Each `console` block runs in a directory of its own. `console no-run` is for what a test cannot
do: install something, or wait for a log that never ends. Blocks of any other kind are pictures.
"""

from __future__ import annotations

import doctest
import getpass
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

import mql
from examples import demo, live
from mql.language.functions import FUNCTIONS
from mql.language.scalars import SCALARS
from mql.language.syntax import RESERVED
from publish_agent.settings import DEFAULT_SOURCE_JOB
from source_jobs.client import DEFAULT_ADDRESS

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
DATA_FILES = ("apache_access.ndjson", "nginx_status.ndjson")
PAGES = [page for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))) if page.exists()]

BLOCK = re.compile(r"^```(\w+)(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
COMMANDS = ("mql", "cat", "head", "tail", "printf", "echo", "gzip", "curl")
"""The first words of commands that examples may run."""

NO_RUN = re.compile(r"\b(install|make|tail -f|tail -F|git|kubectl|docker|python3?|serve)\b")
"""What a `no-run` block is for."""

NOTE = "mql: time: "
"""What `mql` says on standard error even when there is nothing to complain about."""

CONSOLES = {"": "console", "live": "live", "no-run": "no-run"}
"""The kinds of `console` blocks, by the word after that."""

NAMES = (*live.SERVICES, *live.PROVIDERS, *(path for of in live.SERVICES.values() for path in of))
VARYING = re.compile(rf"-?\d[\d,.:-]*|-{{2,}}|\s+|{'|'.join(NAMES)}")
"""What two runs of a live example need not have in common."""

DEFAULT_HTTP = "http://127.0.0.1:7768"
"""Where the page and the API are in the documents."""

TIME_LIMIT_S = 60


class Block(NamedTuple):
    """A fenced block: its kind, the word after that, its text, and the line it starts at."""

    kind: str
    word: str
    text: str
    line: int


@dataclass(frozen=True)
class Example:
    """A query or some commands, the events in force there, and the printed answer."""

    page: Path
    line: int
    events: dict[str, str]
    text: str
    kind: str
    answer: str = ""

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(text: str) -> Iterator[Block]:
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Block(match[1], match[2].strip(), match[3], line)


def examples(page: Path, text: str) -> Iterator[Example]:
    """The examples of a page. Raises ValueError where a query and its answer do not pair up."""
    events: dict[str, str] = {}
    query: Block | None = None
    for block in blocks(text):
        if (query is not None) != (block.kind in ("rows", "error")):
            line = (query or block).line
            raise ValueError(f"{page.name}:{line}: a query and its answer come in pairs")
        if query is not None:
            yield Example(page, query.line, dict(events), query.text, block.kind, block.text)
        query = block if block.kind == "mql" else None
        if block.kind == "events":
            events[block.word] = block.text
        if block.kind == "console":
            assert block.word in CONSOLES, f"{page.name}:{block.line}: console {block.word}"
            yield Example(page, block.line, dict(events), block.text, CONSOLES[block.word])
    if query is not None:
        raise ValueError(f"{page.name}:{query.line}: a query without an answer")


ALL = [example for page in PAGES for example in examples(page, page.read_text(encoding="utf-8"))]


def of_kind(*kinds: str) -> list[object]:
    return [pytest.param(each, id=each.place) for each in ALL if each.kind in kinds]


# Queries


def answer(example: Example) -> str:
    """The rows as lines of JSON, or the message of the refusal."""
    try:
        used = mql.parse(example.text)
        names = [*used.sources, *(used.join.sources if used.join else ())]
        inputs = {name: example.events[name].encode() for name in names}
        timed = any('"t":' in example.events[name] for name in names)
        result = mql.run(example.text, inputs, time="t" if timed else None)
        return b"".join(chunk.json_lines() for chunk in result.chunks()).decode()
    except mql.MQLError as error:
        return f"{error}\n"


@pytest.mark.parametrize("example", of_kind("rows", "error"))
def test_a_query_answers_what_its_page_says(example: Example) -> None:
    assert answer(example) == example.answer, example.place


# Commands


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what all commands may read, and `mql` in bin/."""
    directory = tmp_path_factory.mktemp("docs")
    demo.make_events(directory / "build" / "demo" / "requests.ndjson")
    command = directory / "bin" / "mql"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cli "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return directory


def fill(directory: Path, example_events: dict[str, str], prepared: Path) -> None:
    """Put the files into a directory that commands may name."""
    for name, lines in example_events.items():
        (directory / f"{name}.ndjson").write_text(lines, encoding="utf-8")
    for file in DATA_FILES:
        if (DATA / file).exists():
            (directory / file).symlink_to(DATA / file)
    if (prepared / "build").exists():
        (directory / "build").symlink_to(prepared / "build")


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a console block, and the lines that it prints."""
    command, printed = "", list[str]()
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, printed
            command, printed = line[2:], []
        elif line.startswith("> ") and not printed:
            command += "\n" + line[2:]
        else:
            printed.append(line.rstrip())
    assert command, "a console block starts with `$ ` and a command"
    yield command, printed


def run(
    command: str, directory: Path, prepared: Path, variables: Mapping[str, str] | None = None
) -> list[str]:
    """What a command prints, on standard output and then on standard error."""
    program = command.split(maxsplit=1)[0]
    assert program in COMMANDS, f"{program} is not run here; use no-run"
    environment = {
        "PATH": f"{prepared / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        **(variables or {}),
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    return [line.rstrip() for line in (done.stdout + done.stderr).splitlines()]


def fits(expected: list[str], got: list[str]) -> bool:
    """Whether the lines are those expected, `…` standing for any.

    >>> fits(["a", "…", "d"], ["a", "b", "c", "d"]), fits(["a", "…"], ["b"])
    (True, False)
    """
    lines = ("(?:.*\n)*" if line == "…" else re.escape(f"{line}\n") for line in expected)
    return re.fullmatch("".join(lines), "".join(f"{line}\n" for line in got)) is not None


@pytest.mark.parametrize("example", of_kind("console"))
def test_a_command_prints_what_its_page_says(
    example: Example, tmp_path: Path, prepared: Path
) -> None:
    if any(file in example.text for file in DATA_FILES) and not DATA.exists():
        pytest.skip(f"no real events: {DATA} is missing")
    fill(tmp_path, example.events, prepared)
    for command, expected in commands(example.text):
        got = run(command, tmp_path, prepared)
        terse = [line for line in got if not line.startswith(NOTE)]
        told = "\n".join([example.place, f"$ {command}", *got])
        assert fits(expected, got) or fits(expected, terse), told


# Commands that ask running services


@pytest.fixture(scope="session")
def shop() -> Iterator[live.Addresses]:
    """The shop of `make demo` under load; the addresses of its source job."""
    with live.shop() as addresses:
        yield addresses


def blurred(line: str) -> str:
    """A line without what is different in each run.

    >>> blurred("(3 rows)") == blurred("(12 rows)"), blurred("exact") == blurred("estimate")
    (True, False)
    """
    line = line.replace(f"{getpass.getuser()}@{socket.gethostname()}", "you@vm")
    line = re.sub(rf"\b{re.escape(socket.gethostname())}\b", "vm", line)
    return VARYING.sub(_blur, line).strip()


def _blur(found: re.Match[str]) -> str:
    text = found[0]
    if text in NAMES:
        return "name"
    return " " if text.isspace() else "--" if not text.strip("-") else "0"


@pytest.mark.parametrize("example", of_kind("live"))
def test_running_services_answer_what_a_page_says(
    example: Example, tmp_path: Path, prepared: Path, shop: live.Addresses
) -> None:
    variables = {"MQL_SOURCE_JOBS": shop.agents, "MQL_SOURCE_JOB": shop.clients}
    for command, expected in commands(example.text.replace(DEFAULT_HTTP, shop.http)):
        got = run(command, tmp_path, prepared, variables)
        told = "\n".join([example.place, f"$ {command}", *got])
        assert fits([*map(blurred, expected)], [*map(blurred, got)]), told


@pytest.mark.parametrize("example", of_kind("no-run"))
def test_only_what_cannot_be_run_is_not_run(example: Example) -> None:
    for command, _ in commands(example.text):
        assert NO_RUN.search(command), f"{example.place}: {command} can be run"


# Python


def python_pages() -> list[Path]:
    return [page for page in PAGES if "\n```python" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", python_pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_of_a_page_runs(
    page: Path,
    tmp_path: Path,
    prepared: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """What follows `>>>` prints what stands there; the blocks of a page see each other's names."""
    names: dict[str, object] = {"__name__": "__main__"}
    events: dict[str, str] = {}
    monkeypatch.chdir(tmp_path)
    fill(tmp_path, {}, prepared)
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.kind == "events":
            events[block.word] = block.text
            (tmp_path / f"{block.word}.ndjson").write_text(block.text, encoding="utf-8")
        if block.kind == "python":
            if block.word == "live":
                defaults = DEFAULT_SOURCE_JOB, DEFAULT_ADDRESS, DEFAULT_HTTP
                for default, address in zip(defaults, request.getfixturevalue("shop"), strict=True):
                    block = block._replace(text=block.text.replace(default, address))  # noqa: PLW2901
            run_python(block, names, f"{page.name}:{block.line}")


def run_python(block: Block, names: dict[str, object], place: str) -> None:
    if ">>>" not in block.text:
        exec(compile(block.text, place, "exec"), names)  # noqa: S102 - code of our own pages
        return
    test = doctest.DocTestParser().get_doctest(block.text, names, place, place, block.line)
    test.globs = names
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, out=said.append, clear_globs=False)
    assert not runner.summarize(verbose=False).failed, "".join(said)


# The pages themselves


def test_the_reference_has_an_example_of_every_word_and_function() -> None:
    queries = [e.text.lower() for e in ALL if e.page.name == "language.md" and e.kind == "rows"]
    words = {word for query in queries for word in re.findall(r"[\w']+", query)}
    functions = {*map(str.lower, FUNCTIONS), *SCALARS, "if", "time", "service"}
    assert {*RESERVED, *functions, "filter", "seconds", "asc", "desc"} <= words


def test_a_wrong_answer_is_found() -> None:
    page = '```events s\n{"a": 1}\n```\n```mql\nselect a from s\n```\n```rows\n{"a":2}\n```\n'
    (example,) = examples(Path("page.md"), page)
    assert answer(example) == '{"a":1}\n' != example.answer


@pytest.mark.parametrize("text", ["```mql\nselect a\n```\n", "```rows\n{}\n```\n"])
def test_a_query_without_an_answer_is_found(text: str) -> None:
    with pytest.raises(ValueError, match="answer"):
        list(examples(Path("page.md"), text))
