"""What every benchmark says of itself: the machine, the commit, and a table of figures."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path


def machine(core: int | None, versions: str = "") -> list[str]:
    """Lines on the machine, the core that is used (None: all), the software and the commit."""
    pinned = "" if core is None else f", pinned to core {core}"
    where = f"{os.cpu_count()} cores{pinned}, load {os.getloadavg()[0]:.1f}"
    software = f"software: Python {platform.python_version()}"
    return [
        f"machine: {_processor()}, {where} at the start",
        f"{software}, {versions}" if versions else software,
        f"commit: {_commit()}",
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    commit = _git("rev-parse", "--short", "HEAD")
    if not commit:
        return "unknown"
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return f"{commit} with changes" if changed else commit


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(("git", *arguments), capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """An aligned markdown table, the first `left` columns to the left, the others to the right."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * w if i < left else "-" * (w - 1) + ":" for i, w in enumerate(widths)]

    def line(cells: Sequence[str]) -> str:
        sides = (
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join(sides) + " |"

    return "\n".join(map(line, (header, rule, *rows)))
