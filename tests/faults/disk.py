"""A full disk under whatever writes: the error is clear, the exit code right, nothing stalls.

A small file system in memory is filled to the last byte where one can be mounted (root); else
files may not grow beyond a limit, which every user can set.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

_LIMIT_S = 30.0
_ROWS = 60_000
_BLOCKS = 0
"""That a file may grow to where nothing can be mounted."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A command that writes to `{full}`; it reads `{events}`, or asks `{job}`."""

    what: str
    command: str
    leaves: str = ""
    """A file that must not be there afterwards: half of it would be worse than none."""


RUN = "run 'select number, text from s' {events}"
WRITERS = (
    Writer("mql run --out, JSON lines", RUN + " --out {full}/rows.jsonl", "rows.jsonl"),
    Writer("mql run --out, CSV", RUN + " --out {full}/rows.csv", "rows.csv"),
    Writer("mql run --out, Arrow", RUN + " --out {full}/rows.arrow", "rows.arrow"),
    Writer("mql run --out, Parquet", RUN + " --out {full}/rows.parquet", "rows.parquet"),
    Writer("mql run > FILE", RUN + " > {full}/rows"),
    Writer("mql run > /dev/full", RUN + " > /dev/full"),
    Writer(
        "mql query --out",
        "query 'select * from requests' --source-job {job} --for 4s --out {full}/live.jsonl",
        "live.jsonl",
    ),
    Writer(
        "mql query > /dev/full", "query 'select * from requests' --source-job {job} > /dev/full"
    ),
    Writer("mql keygen", "keygen name --dir {full}/keys", "keys/name.key_secret"),
)


@dataclass(frozen=True, slots=True)
class Written:
    """What a writer did: how long it took, what it said, and what was wrong with that."""

    what: str
    seconds: float
    said: str
    problems: tuple[str, ...]


def write_all(folder: Path, job: str) -> Iterator[Written]:
    """Have every writer meet a full disk. `job` is where clients ask the source job."""
    events = folder / "events.ndjson"
    with events.open("w", encoding="ascii") as file:
        for number in range(_ROWS):
            file.write(
                json.dumps({"number": number, "text": f"{hash(number * 7919):x}" * 8}) + "\n"
            )
    for writer in WRITERS:
        with _full(folder / "full") as (full, limited):
            yield _write(writer, {"full": full, "events": events, "job": job}, limited=limited)


def _write(writer: Writer, places: dict[str, object], *, limited: bool) -> Written:
    command = f"{sys.executable} -m cli {writer.command.format(**places)}"
    began = monotonic()
    try:
        done = subprocess.run(
            ["bash", "-c", f"ulimit -f {_BLOCKS}; {command}" if limited else command],
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Written(writer.what, _LIMIT_S, "", ("it stalls",))
    seconds = monotonic() - began
    return Written(writer.what, seconds, done.stderr.strip(), _problems(writer, done, places))


def _problems(
    writer: Writer, done: subprocess.CompletedProcess[str], places: dict[str, object]
) -> tuple[str, ...]:
    problems = []
    if done.returncode != 1:
        problems.append(f"exit code {done.returncode}, not 1")
    if not any(reason in done.stderr for reason in ("No space left", "File too large")):
        problems.append(f"it says: {done.stderr.strip()[-200:]}")
    if "Traceback" in done.stderr:
        problems.append("a traceback")
    if writer.leaves and (Path(str(places["full"])) / writer.leaves).exists():
        problems.append(f"it leaves {writer.leaves}")
    return tuple(problems)


@contextmanager
def _full(folder: Path) -> Iterator[tuple[Path, bool]]:
    """A folder where nothing can be written, and whether that is for a limit on files."""
    folder.mkdir(exist_ok=True)
    if not _mount(folder):
        (folder / "keys").mkdir(exist_ok=True)
        yield folder, True
        return
    try:
        (folder / "keys").mkdir()
        _fill(folder / "filling")
        yield folder, False
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=10)


def _mount(folder: Path) -> bool:
    if os.geteuid() != 0:
        return False
    mount: Sequence[str] = ("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder))
    return subprocess.run(mount, capture_output=True, timeout=10, check=False).returncode == 0


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as opened:
        try:
            while True:
                opened.write(bytes(4096))
        except OSError:
            return
