"""What decoding takes at least: msgspec, into structs of four fields, of lines in memory.

    python -m benchmarks.files.floor

Says how fast a machine is beside others: the goals in docs/performance.md are of one where this
takes 480 ns an event.
"""

from __future__ import annotations

import os
from time import process_time_ns

import click
import msgspec

from benchmarks import events
from benchmarks.report import machine


class _Event(msgspec.Struct):
    ts: int
    country: str
    user_id: str
    latency_ms: float


@click.command()
@click.option("--events", "count", default=100_000, show_default=True, type=click.IntRange(min=1))
@click.option("--runs", default=7, show_default=True, type=click.IntRange(min=1))
def main(count: int, runs: int) -> None:
    """Measure how long msgspec takes to decode four fields of an event."""
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    lines = "".join(events.lines(count)).encode()
    decoder = msgspec.json.Decoder(_Event)
    taken = []
    for _ in range(runs):
        began = process_time_ns()
        decoder.decode_lines(lines)
        taken.append((process_time_ns() - began) / count)
    click.echo("\n".join(machine(core)))
    click.echo(f"four fields by msgspec: {sorted(taken)[runs // 2]:,.0f} ns an event")


if __name__ == "__main__":
    main()
