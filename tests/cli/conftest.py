"""A small log, for every test of the command that wants one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.support import Event, lines_of, some_events


@pytest.fixture
def events() -> list[Event]:
    return some_events()


@pytest.fixture
def log(tmp_path: Path, events: list[Event]) -> Path:
    """The events as a file."""
    path = tmp_path / "access.ndjson"
    path.write_text(lines_of(events))
    return path
