"""Writes the corpus: queries, messages, payloads, lines and stories that a fuzzer begins with.

A file is named by what is in it, so that writing the corpus again changes nothing; what a fuzzer
has found lies beside them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from tests.fuzz.conversation import conversation, stories
from tests.fuzz.worlds import QUERIES

CORPUS = Path(__file__).with_name("corpus")

_QUERIES = (
    *QUERIES,
    "select *, e[^'p'], a as 'b c' from s, 't u' where not (a = 1 or b <> 'x') -- why",
    "select e['a'][0]['b'], a + 1 * -2.5e3 where e['l'][*]['k'] in ('a', null, true) limit 0;",
    "select sum(distinct a) filter (where b between 1 and 2), tick() from s window |5| group by c",
    r"select a where b ==~ /(x{1,9}|[^\d]\/)+/ and c not like 'a%_' and d ==+ '\'' or !e",
    "select p99(a) as p, count(*) from s window 10 1 having p > 1 order by p desc limit 3",
    "select count(*) from s window 1 anomaly des count(*) 0.5 0.5 3",
    "select * from a join b 5 seconds on k, e['x'] having c > 1",
    "select * from a sample {'strategy': 'STICKY', 'keys': ['k'], 'threshold': 500}",
)
_LINES = (
    b'{"a": 1, "b": {"c": "x"}, "l": [1, 2], "t": 1.5, "pre": null}\n{"a": "1", "b": []}\n',
    b'\xef\xbb\xbf{"a": 18446744073709551616, "t": 1e400}\r\n\r\n[1]\n{"a": "\\ud800"}\nnull\n{',
    b'{"b": {"c": {"c": [[[{}]]]}}, "l": {"l": 1}, "p": {"p": 1}}\n{"a": NaN}\n{"a": 01}\n\x00\n',
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xabV\xca\xcf/W\xb2R0\xac\x05\x00",
    b"\x28\xb5\x2f\xfd\x04\x58\x00",
)


def seeds() -> dict[str, list[bytes]]:
    """What each target begins with."""
    frames = [(number, frames) for _, number, frames in conversation()["job"] if frames]
    said = [bytes([0 if peer < 8 else 1]) + header for peer, (header, *_) in frames]
    said += [bytes([2]) + f[0] for _, _, f in conversation()["agent"] if f]
    said += [bytes([3]) + f[0] for _, _, f in conversation()["client"] if f]
    payloads = [f[1] for name in ("job", "client") for *_, f in conversation()[name] if f[1:]]
    return {
        "parser": [query.encode() for query in _QUERIES],
        "wire": _different(said, 30),
        "payload": _different(payloads, 10),
        "events": list(_LINES),
        "agent": stories("agent")[:2],
        "job": stories("job")[:2],
        "client": stories("client")[:2],
    }


def write_corpus() -> None:
    """Write the files."""
    for target, data in seeds().items():
        directory = CORPUS / target
        directory.mkdir(parents=True, exist_ok=True)
        for each in data:
            (directory / hashlib.sha256(each).hexdigest()[:16]).write_bytes(each)


def _different(data: Iterable[bytes], most: int) -> list[bytes]:
    """Some that differ in their length, which tells kinds apart well enough."""
    return list({len(each): each for each in data}.values())[:most]
