"""Recorded events of all kinds, asked in every way in which they are read and written.

    python -m tests.beside.running FOLDER

It says `done`.
"""

from __future__ import annotations

import datetime as dt
import itertools
import sys
from pathlib import Path

import pyarrow as pa

import mql
from cli.main import main as command
from mql.events.decode import EventReader
from mql.planner.fields import Fields
from mql.values.json_values import write_json
from tests.beside.questions import AGGREGATES, QUERIES
from tests.beside.service import event

FORMATS = ("table", "jsonl", "csv", "arrow", "parquet")
_SHOWN = (0, 2, 7, 11, 12, 13)
"""Of the questions: whole events, columns, mixed ones, ordered, aggregates."""


def run(*arguments: str) -> None:
    command(["run", "--no-progress", *arguments], standalone_mode=False)


def nested_times() -> pa.Table:
    """Times in ns, with a time zone and without, by themselves and in lists and structs.

    They are laid over buffers: `pa.array` would do what is not to be done.
    """
    ns = pa.py_buffer(memoryview(b"".join(n.to_bytes(8, "little") for n in (1, 2**60))))
    columns = {}
    for zone in (None, "UTC"):
        times = pa.Array.from_buffers(pa.timestamp("ns", zone), 2, [None, ns])
        ends = pa.py_buffer(b"".join(n.to_bytes(4, "little") for n in (0, 1, 2)))
        lists = pa.Array.from_buffers(pa.list_(times.type), 2, [None, ends], children=[times])
        structs = pa.Array.from_buffers(pa.struct([("t", times.type)]), 2, [None], children=[times])
        columns |= {f"t{zone}": times, f"l{zone}": lists, f"s{zone}": structs}
    return pa.table(columns)


def main() -> None:
    folder = Path(sys.argv[1])
    events = [event(number) for number in range(300)]
    lines = folder / "events.ndjson"
    lines.write_text("".join(f"{write_json(each)}\n" for each in events), encoding="utf-8")
    for place, kind in itertools.product(_SHOWN, FORMATS):
        out = str(folder / f"{place}.{kind}")
        run(QUERIES[place], str(lines), "--time", "at", "--output", kind, "--out", out)
    for kind in FORMATS[2:]:
        table = str(folder / f"1.{kind}")
        run("select * from stream", table)
        run(f"select {', '.join(AGGREGATES)} from stream", table)
    for query in QUERIES:
        sources = {name: events for name in ("requests", "users") if name in query}
        for form in (sources, dict.fromkeys(sources, lines)):
            result = mql.run(query, form, "at")
            assert result.to_table().num_rows == len(result.rows())
            assert repr(result)
    rows = mql.run("select * from s", {"s": nested_times()}).rows()
    assert rows[0]["lUTC"] == ["1970-01-01T00:00:00.000000001Z"], rows
    assert isinstance(events[0]["when"], dt.datetime)
    assert EventReader(Fields(event=True)).from_events(events).batch.num_rows == len(events)
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main()
