"""What users meet is what is recorded: Python, commands, outputs, HTTP, metrics, logs, the wire.

A file beside this one holds the recorded text of a topic. `python tests/surface/test_surface.py
--update` writes them as they are now. A file that changes where only modules were to be moved says
that users will notice: read the difference before you keep it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

if str(Path(__file__).resolve().parents[2]) not in sys.path:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.surface.commands import commands
from tests.surface.http_api import events, http
from tests.surface.logs import logs
from tests.surface.metrics import metrics
from tests.surface.outputs import outputs
from tests.surface.python_names import PUBLIC, python
from tests.surface.record import HERE, PACKAGES, file_of
from tests.surface.settings import settings
from tests.surface.wire_words import wire

TOPICS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "events": events,
    "http": http,
    "logs": logs,
    "metrics": metrics,
    "outputs": outputs,
    "python": python,
    "settings": settings,
    "wire": wire,
}


@pytest.mark.parametrize("topic", TOPICS)
def test_what_is_public_is_what_is_recorded(topic: str) -> None:
    assert TOPICS[topic]() == file_of(topic).read_text(encoding="utf-8")


def test_each_recorded_text_is_compared() -> None:
    assert {path.stem for path in HERE.glob("*.txt")} == {*TOPICS}


def test_only_one_file_names_what_users_do_not_import() -> None:
    folders = (HERE, HERE.parent / "wire")
    files = [path for folder in folders for path in folder.glob("*.py") if path.name != "inside.py"]
    assert {name for path in files for name in imported(path) if name not in PUBLIC} == set()


def imported(path: Path) -> Iterator[str]:
    """The modules of the packages that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.ImportFrom(module=str(name)):
                names = [name]
            case ast.Import(names=several):
                names = [each.name for each in several]
            case _:
                continue
        yield from (name for name in names if name.partition(".")[0] in PACKAGES)


def update() -> None:
    """Write every recorded text as it is now."""
    for topic, text in TOPICS.items():
        file_of(topic).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    assert sys.argv[1:] == ["--update"], __doc__
    update()
