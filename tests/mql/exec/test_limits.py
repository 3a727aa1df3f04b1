"""What a running query may hold has a limit, and at the limit it ends and says which one."""

from __future__ import annotations

import re
from io import BytesIO

import pytest

import mql
from mql.errors import RunError
from mql.events.decode import EventReader
from mql.exec.limits import Limits
from mql.language.grammar import grammar
from mql.language.syntax import RESERVED, Property
from mql.planner.fields import Fields
from mql.sources.ndjson import LineSource

EVENTS = [(i, {"k": i, "v": i}) for i in range(100)]


@pytest.mark.parametrize(
    ("query", "limits", "operator", "says"),
    [
        ("select count(*) group by k", Limits(groups=10), "group by", "10 groups"),
        ("select p50(v)", Limits(values=10), "aggregate", "10 values"),
        ("select k order by k", Limits(bytes=10), "window", "10 bytes"),
        ("select k, v group by k anomaly mad v 1 2", Limits(groups=10), "anomaly", "10 groups"),
        (
            "select * from stream join stream 1 seconds on k",
            Limits(events=10),
            "join",
            "10 events",
        ),
    ],
)
def test_at_a_limit_the_query_ends_and_names_it(
    query: str, limits: Limits, operator: str, says: str
) -> None:
    with pytest.raises(RunError, match=f"^{operator}: .*{says}") as caught:
        mql.run(query, {"stream": EVENTS}, limits=limits).rows()
    assert caught.value.operator == operator


@pytest.mark.parametrize("query", ["select count(*) group by k", "select k order by k"])
def test_below_the_limits_nothing_is_said(query: str) -> None:
    limits = Limits(groups=100, values=100, events=200)
    assert len(mql.run(query, {"stream": EVENTS}, limits=limits).rows()) == 100


def test_a_line_that_is_too_long_is_passed_over_and_counted() -> None:
    long = b'{"a": "' + b"x" * 1000 + b'"}\n'
    stream = BytesIO(b'{"a": 1}\n' + long + b'{"a": 2}\n')
    reader = EventReader(Fields((Property(("a",)),)))
    source = LineSource(stream, "lines", chunk_bytes=64, max_line_bytes=200)
    values = [v for read in source.batches(reader) if read for v in read.batch["a"].to_pylist()]
    assert values == [1, 2]
    assert (reader.bad.count, reader.bad.first) == (1, 2)


def test_the_grammar_reserves_the_words_that_the_formatter_quotes() -> None:
    name = next(t for t in grammar().terminals if t.name == "NAME")
    listed = re.match(r"\(\?!\(\?:([a-z|]+)\)", name.pattern.value)
    assert listed is not None
    assert set(listed[1].split("|")) == RESERVED
