"""Whatever names, values and messages hold, a terminal is given visible characters alone."""

from __future__ import annotations

import ast
import io
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, get_args, get_origin, get_type_hints

import click
import msgspec
import pytest

from cli import main as command_line
from cli.live import query, records, show, status
from cli.live.summary import Summary
from cli.output.destination import TerminalSafe
from cli.output.table import TableWriter
from mql.errors import InputError, QueryError, RunError, Span
from mql.ledger import Completeness
from mql.wire import messages
from source_jobs.client import SourceJobError
from tests.cli.support import Screen, chunk

EVIL = "x\x1b[2J\x1b]0;t\x07\x9b31m\r\nFAKE: line\u202eabc\u2066\u2028\u200f\x00\x7f\u061c"


def assert_harmless(text: str) -> None:
    """That a text shows something, line by line, and does nothing else."""
    assert "FAKE" in text, "it is shown"
    for line in text.split("\n"):
        assert not line.startswith("FAKE"), text
        bad = [c for c in line if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp", "Cs", "Co"}]
        assert not bad, (line, bad)


def filled(kind: Any) -> Any:
    """A value of a type with the evil text wherever there is one."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is str or kind is object or kind is Any:
        return EVIL
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind)
        return kind(**{name: filled(hints[name]) for name in kind.__struct_fields__})
    if origin in {tuple, list}:
        return origin([filled(arguments[0])])
    if origin is dict:
        return {filled(arguments[0]): filled(arguments[1])}
    if origin is not None:  # of a union, what has texts
        return max((filled(each) for each in arguments), key=lambda made: EVIL[0] in repr(made))
    return {int: 1, float: 0.5, bool: False, bytes: b"", type(None): None}[kind]


def all_messages() -> dict[str, Any]:
    """An instance of each message, and of what is known of an answer."""
    kinds: list[type] = [each for each in vars(messages).values() if isinstance(each, type)]
    structs = [each for each in kinds if issubclass(each, msgspec.Struct) and get_type_hints(each)]
    every: list[type] = [*structs, Completeness]
    return {each.__name__: filled(each) for each in every}


MESSAGES = all_messages()


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("kind", ["table", "jsonl", "csv"])
def test_every_text_of_every_message_is_harmless_in_each_format(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = msgspec.to_builtins(MESSAGES[name])
    record = {EVIL: EVIL, **(data if isinstance(data, dict) else {"all": data})}
    screen = Screen(4_000)
    monkeypatch.setattr(records, "standard_output", lambda: screen)
    records.write_records(kind, [record])
    written = screen.text.replace("\x1b[1m", "").replace("\x1b[0m", "")
    if kind == "csv":  # has the data's own line breaks, inside of quotes
        written = written.replace("\nFAKE", "FAKE")
    assert_harmless(written)


def test_what_is_known_of_an_answer_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    known = filled(Completeness)
    summary = Summary()
    summary.add(known, closes=True)
    options: Any = SimpleNamespace(output=SimpleNamespace(out=None))
    for kind in ("table", "jsonl"):
        query._say_how_complete(kind, summary.describe(), options)
    alarms = status.Alarms(status.StatusLine(shown=False), about=EVIL)
    alarms.see(known)
    alarms.say(EVIL)
    shown = capsys.readouterr()
    for text in (shown.out, shown.err):
        assert_harmless(text)
    assert len(shown.err.splitlines()) == 3, "a notice is one line"


def test_the_line_that_is_redrawn_is_harmless(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "4000")
    status.StatusLine(shown=True).show(EVIL)
    assert_harmless(capsys.readouterr().err.removeprefix("\r\x1b[K"))


class FakeClient:
    """A client whose source job says the evil text wherever it says a text."""

    connected = True

    def __init__(self) -> None:
        cost = {"screen": EVIL, "tested": 1}
        agent = {"agent": EVIL, "name": EVIL, "source": EVIL, "state": EVIL, "reason": EVIL}
        names = dict.fromkeys(
            ("stream", "service", "host", "version", "state", "query", "text", "path"), EVIL
        )
        lists = {name: [EVIL] for name in ("services", "streams", "users", "kinds")}
        fields = [{"path": EVIL, "kinds": [EVIL], "example": {EVIL: EVIL}}]
        agents = [agent | {"cost": cost}]
        self._all = [names | lists | {"fields": fields, "tags": {EVIL: EVIL}, "agents": agents}]
        self.streams = self.agents = self.queries = lambda: self._all
        self.explain = lambda _text: {"plan": f"plan {EVIL!r}\n  FAKE", "agents": agents}
        self.subscribe = self._subscribe

    @contextmanager
    def _subscribe(self, _text: str) -> Iterator[Any]:
        yield SimpleNamespace(warnings=(EVIL,), get=lambda _s: None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        pass


@pytest.mark.parametrize("what", ["streams", "agents", "queries"])
def test_what_a_source_job_shows_is_harmless(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(4_000)
    monkeypatch.setattr(records, "standard_output", lambda: screen)
    connection: Any = SimpleNamespace(open=FakeClient)
    show.show(what, connection, "table")
    assert_harmless(screen.text.replace("\x1b[1m", "").replace("\x1b[0m", ""))


def test_explain_live_is_harmless(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen(4_000)
    monkeypatch.setattr(records, "standard_output", lambda: screen)
    monkeypatch.setattr(show, "MEASURE_S", 0.0)
    connection: Any = SimpleNamespace(open=FakeClient, question=lambda _: None)
    show.explain_live("select * from s", connection)
    shown = capsys.readouterr()
    for text in (screen.text.replace("\x1b[1m", "").replace("\x1b[0m", ""), shown.out, shown.err):
        assert_harmless(text)


ERRORS: dict[str, Callable[[], Exception]] = {
    "query": lambda: QueryError(f"no `{EVIL}`", f"select {EVIL}", Span(7, 9), f"mean `{EVIL}`?"),
    "input": lambda: InputError(f"no input {EVIL}"),
    "run": lambda: RunError(EVIL, EVIL),
    "source job": lambda: SourceJobError(EVIL),
    "system": lambda: OSError(2, "no such file", EVIL),
    "usage": lambda: click.UsageError(EVIL),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_harmless(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        error = ERRORS[name]()
        raise error

    group = command_line._Commands("mql", commands={"fail": click.Command("fail", callback=fail)})
    with pytest.raises(SystemExit):
        group.main(["fail"])
    assert_harmless(capsys.readouterr().err)


def test_rows_in_a_table_are_harmless_with_their_names() -> None:
    screen = Screen(4_000)
    writer = TableWriter(screen, ())
    writer.write(chunk({EVIL: EVIL, "n": [EVIL, {EVIL: 1}]}))
    writer.finish()
    assert_harmless(screen.text.replace("\x1b[1m", "").replace("\x1b[0m", ""))


def test_spelled_json_is_the_same_json() -> None:
    value = {EVIL: EVIL + "\U000e0041\u00ad\ufeff"}
    stream = io.BytesIO()
    line = msgspec.json.encode(value)
    TerminalSafe(stream).write(line)
    assert_harmless(stream.getvalue().decode())
    assert msgspec.json.decode(stream.getvalue()) == value


def test_nothing_but_the_door_writes_to_a_terminal() -> None:
    root = Path(command_line.__file__).parent
    for path in root.rglob("*.py"):
        if path.name == "terminal.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in {"print", "click.echo", "click.secho", "echo"}, path
                assert not called.startswith(("sys.stdout.write", "sys.stderr.write")), path
