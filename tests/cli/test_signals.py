"""Pipes that close, Ctrl-C, and what a terminal sees: with real processes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import IO

import duckdb

from tests.cli.support import START_MS, command, environment, lines_of, rows_of, some_events

LIMIT_S = 30


@contextmanager
def _started(*arguments: str, **streams: int) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command(*arguments), env=environment(), **streams) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def _read_lines(stream: IO[bytes] | None, count: int) -> bytes:
    """The first lines that come, or as many as come in time."""
    data, end = b"", time.monotonic() + LIMIT_S
    fd = _stream(stream).fileno()
    while data.count(b"\n") < count and time.monotonic() < end:
        if select.select([fd], [], [], 1)[0]:
            data += os.read(fd, 65536)
    return data


def _pending(fifo: Path) -> bool:
    """Whether nobody has read what is in a named pipe."""
    with fifo.open("rb") as reader:
        return bool(select.select([reader], [], [], 0)[0])


def _wait_until_open(pid: int, path: Path) -> None:
    """Wait until a process has opened a file."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if link.readlink() == path:
                    return
        time.sleep(0.01)


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    log = tmp_path / "long.ndjson"
    log.write_text(lines_of(some_events(50_000)))
    script = shlex.join(command("run", "select *", str(log))) + " | head -1; exit ${PIPESTATUS[0]}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, env=environment(), timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0
    assert len(rows_of(done.stdout)) == 1
    assert done.stderr == b""


def test_rows_come_from_a_pipe_that_stays_open() -> None:
    pipe = subprocess.PIPE
    with _started("run", "select path", stdin=pipe, stdout=pipe) as process:
        for event in some_events(3):
            _stream(process.stdin).write(lines_of([event]).encode())
            _stream(process.stdin).flush()
            assert rows_of(_read_lines(process.stdout, 1)) == [{"path": event["path"]}]


def test_ctrl_c_ends_a_pipe_and_prints_what_there_is() -> None:
    pipe = subprocess.PIPE
    query = "select count(*) as 'n' from s window 10"
    streams = {"stdin": pipe, "stdout": pipe, "stderr": pipe}
    with _started("run", query, "--time", "ts", **streams) as process:
        _stream(process.stdin).write(lines_of(some_events(25)).encode())
        _stream(process.stdin).flush()
        first = _read_lines(process.stdout, 2)
        process.send_signal(signal.SIGINT)
        rest = _stream(process.stdout).read()
        assert process.wait(LIMIT_S) == 130
        rows = rows_of(first + rest)
        assert [row["n"] for row in rows] == [10, 10, 5]
        assert rows[2]["_window_start"] == START_MS + 20_000
        errors = _stream(process.stderr).read().decode()
        assert "stopped after 25 events" in errors
        assert "Traceback" not in errors


def test_ctrl_c_ends_a_named_pipe_and_writes_the_file(tmp_path: Path) -> None:
    fifo, out = tmp_path / "events", tmp_path / "n.parquet"
    os.mkfifo(fifo)
    query = "select count(*) as 'n', path from s group by path"
    with _started("run", query, str(fifo), "--out", str(out)) as process, fifo.open("w") as writer:
        writer.write(lines_of(some_events(30)))
        writer.flush()
        while _pending(fifo):
            time.sleep(0.01)
        time.sleep(0.5)  # what has been read is counted a moment later
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 130
    assert duckdb.read_parquet(str(out)).aggregate("sum(n), count(*)").fetchall() == [(30, 3)]


def test_ctrl_c_stops_reading_a_file(tmp_path: Path) -> None:
    log = tmp_path / "long.ndjson"
    part = lines_of(some_events(20_000))
    with log.open("w") as file:
        for _ in range(40):
            file.write(part)
    pipe = subprocess.PIPE
    query = "select count(*) as 'n' from s where path ==~ /.*x.*y.*/ || status > 0"
    with _started("run", query, str(log), stdout=pipe, stderr=pipe) as process:
        _wait_until_open(process.pid, log)
        process.send_signal(signal.SIGINT)
        output = _stream(process.stdout).read()
        assert process.wait(LIMIT_S) == 130
    assert len(rows_of(output)) <= 1


def test_a_second_ctrl_c_ends_it_at_once() -> None:
    pipe = subprocess.PIPE
    with _started("run", "select *", stdin=pipe, stdout=pipe, stderr=pipe) as process:
        _stream(process.stdin).write(b'{"a": 1}\n')
        _stream(process.stdin).flush()
        assert _read_lines(process.stdout, 1) == b'{"a": 1}\n'
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        # By itself, or, if it was at its end already, by the signal: 130 to a shell.
        assert process.wait(LIMIT_S) in {130, -signal.SIGINT}
        assert b"Traceback" not in _stream(process.stderr).read()


class _Terminal:
    """A process whose standard streams (but for given ones) are a terminal of 60 columns."""

    def __init__(self, *arguments: str, stdin: int | None = None) -> None:
        self._main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        self.process = subprocess.Popen(
            command(*arguments),
            stdin=side if stdin is None else stdin,
            stdout=side,
            stderr=side,
            env=environment(TERM="xterm-256color"),
        )
        os.close(side)
        self.seen = ""

    def read(self, until: str | None = None) -> str:
        """What is shown up to a text, or to the end."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end and (until is None or until not in self.seen):
            if not select.select([self._main], [], [], 1)[0]:
                continue
            try:
                data = os.read(self._main, 65536)
            except OSError:  # Linux says so when the other side has closed
                break
            if not data:
                break
            self.seen += data.decode()
        return self.seen

    def close(self) -> int:
        """The exit code."""
        code = self.process.wait(LIMIT_S)
        os.close(self._main)
        return code


def test_a_terminal_gets_a_table_that_fits(log: Path) -> None:
    terminal = _Terminal("run", "select * from s limit 3", str(log))
    text = re.sub(r"\x1b\[[0-9;]*m", "", terminal.read())
    assert terminal.close() == 0
    lines = text.replace("\r", "").splitlines()
    assert lines[0].split()[:3] == ["ts", "path", "status"]
    assert all(len(line) <= 60 for line in lines)
    assert lines[-1] == "(3 rows)"


def test_events_cannot_control_the_terminal(tmp_path: Path) -> None:
    log = tmp_path / "evil.ndjson"
    log.write_text('{"a": "\\u001b[2Jx\\u009b31m\\u202e\\r\\n", "k\\u001b]0;t\\u0007": 1}\n')
    for output in ("table", "jsonl", "csv"):
        terminal = _Terminal("run", "select *", str(log), "--output", output)
        text = re.sub(r"\x1b\[[01]m", "", terminal.read())
        assert terminal.close() == 0
        shown = text.replace("\r\n", "\n")
        assert not set(shown) & {"\x1b", "\x9b", "\r", "\x07"}
        assert "[2Jx" in shown


def test_binary_is_not_written_to_a_terminal(log: Path) -> None:
    terminal = _Terminal("run", "select *", str(log), "--output", "arrow")
    assert "add --out FILE or pipe it on" in terminal.read()
    assert terminal.close() == 2


def test_a_terminal_alone_is_no_input() -> None:
    terminal = _Terminal("run", "select *")
    assert "name a FILE, or pipe events in" in terminal.read()
    assert terminal.close() == 2


def test_long_work_shows_progress_and_takes_it_away() -> None:
    read_end, write_end = os.pipe()
    terminal = _Terminal("run", "select path, ms from s where status == 500", stdin=read_end)
    os.close(read_end)
    seen = threading.Event()

    def write() -> None:
        with os.fdopen(write_end, "w") as writer:
            for event in cycle(some_events(21)):
                writer.write(json.dumps(event) + "\n")
                writer.flush()
                if seen.wait(0.05):
                    return

    thread = threading.Thread(target=write)
    thread.start()
    terminal.read(until=" events")
    seen.set()
    text = terminal.read()
    thread.join()
    assert terminal.close() == 0
    assert re.search(r"\d+ events", text)
    # What remains of the bar's line when rows and the end have come is nothing.
    last = re.split(r"\x1b\[2K|\x1b\[J", text)[-1]
    assert "events" not in last
    assert re.search(r"\(\d+ rows\)", last)


def test_ctrl_c_at_a_terminal_completes_the_table() -> None:
    read_end, write_end = os.pipe()
    query = "select count(*) as 'n' from s window 10"
    terminal = _Terminal("run", query, "--time", "ts", "--no-progress", stdin=read_end)
    os.close(read_end)
    with os.fdopen(write_end, "w") as writer:
        writer.write(lines_of(some_events(15)))
        writer.flush()
        terminal.read(until="22:13:20")
        terminal.process.send_signal(signal.SIGINT)
        text = terminal.read()
    assert terminal.close() == 130
    assert re.search(r"22:13:30 +5", text)
    assert "(2 rows)" in text


def test_a_plot_is_redrawn_in_place() -> None:
    read_end, write_end = os.pipe()
    query = "select count(*) as 'n' from s window 10"
    options = ["--time", "ts", "--no-progress", "--plot"]
    terminal = _Terminal("run", query, *options, stdin=read_end)
    os.close(read_end)
    with os.fdopen(write_end, "w") as writer:
        for event in some_events(40):
            writer.write(json.dumps(event) + "\n")
            writer.flush()
            time.sleep(0.03)
    text = terminal.read()
    assert terminal.close() == 0
    assert re.search(r"\x1b\[\d+A\x1b\[J", text)
