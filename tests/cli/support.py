"""What the tests of the command share: running it, a small log, chunks without an engine."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from cli.output.destination import Destination

ROOT = Path(__file__).parents[2]
START_MS = 1_700_000_000_000
LIMIT_S = 60

Event = dict[str, Any]


class FakeChunk:
    """Rows, as the engine would give them."""

    def __init__(
        self, rows: list[Event], start_ms: int | None = None, end_ms: int | None = None
    ) -> None:
        self._rows = rows
        self.start_ms = start_ms
        self.end_ms = end_ms

    @property
    def num_rows(self) -> int:
        return len(self._rows)

    @property
    def table(self) -> pa.Table:
        return pa.Table.from_pylist(self._rows)

    def rows(self) -> list[Event]:
        return self._rows

    def json_lines(self) -> bytes:
        return b"".join(json.dumps(row).encode() + b"\n" for row in self._rows)


def chunk(*rows: Event, at: int | None = None) -> FakeChunk:
    """Rows without a window, or in the 10 seconds from `at`."""
    return FakeChunk(list(rows), at, None if at is None else at + 10_000)


class Screen(Destination):
    """A terminal of some width, in memory."""

    columns: int | None

    def __init__(self, columns: int | None = None) -> None:
        super().__init__(io.BytesIO(), is_terminal=columns is not None)
        object.__setattr__(self, "columns", columns)

    @property
    def width(self) -> int | None:
        return self.columns

    @property
    def text(self) -> str:
        assert isinstance(self.stream, io.BytesIO)
        return self.stream.getvalue().decode()


def command(*arguments: str) -> list[str]:
    """The command line of `mql`."""
    return [sys.executable, "-m", "cli", *arguments]


def environment(**more: str) -> dict[str, str]:
    """The test's environment, in which `cli` is found and no terminal is known."""
    env = {k: v for k, v in os.environ.items() if k not in {"COLUMNS", "LINES", "NO_COLOR"}}
    paths = [str(ROOT), *filter(None, [env.get("PYTHONPATH")])]
    return env | {"PYTHONPATH": os.pathsep.join(paths)} | more


def run_mql(
    *arguments: str, stdin: bytes | str = b"", ok: bool = True
) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end; with `ok`, it must succeed."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        command(*arguments),
        input=data,
        capture_output=True,
        env=environment(),
        timeout=LIMIT_S,
        check=False,
    )
    if ok:
        assert done.returncode == 0, done.stderr.decode()
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def rows_of(output: bytes) -> list[Event]:
    """NDJSON as dicts."""
    return [json.loads(line) for line in output.splitlines()]


def lines_of(events: Sequence[Event]) -> str:
    """Dicts as NDJSON."""
    return "".join(json.dumps(event) + "\n" for event in events)


def some_events(count: int = 40) -> list[Event]:
    """A second apart, three paths, each tenth an error."""
    return [
        {
            "ts": START_MS + i * 1000,
            "path": f"/{'abc'[i % 3]}",
            "status": 500 if i % 10 == 0 else 200,
            "ms": i + 0.5,
            "user": {"id": f"u{i}", "tags": ["x", i]},
        }
        for i in range(count)
    ]
