"""A conversation in which every kind of message is said, by the real cores.

Only what a source job of a later version would ask is made by hand.
"""

from __future__ import annotations

from functools import cache

from tests.surface import inside
from tests.wire.cores import Conversation, Said

M = inside.messages

GIVEN = "select path, status from requests where status >= 500"
WHOLE = "select * from requests where user == 'u1'"
COUNTED = (
    "select path, count(*) as n, sum(bytes), avg(ms), stddev(ms), min(path), max(ms), first(user)"
    " from requests group by path window 1"
)
LIMITED = "select path from requests limit 3"
OTHERS = "select * from requests where status == 200"
RELAYED = "select path from errors"
WRONG = "select * frm requests"


@cache
def conversation() -> dict[str, Said]:
    """Of each form the message that holds most, by name."""
    here = Conversation()
    here.agent(b"a1", service="shop", version="1.0", tags={"zone": "eu-1"})
    here.connect(b"a1")
    here.pass_time(1_200, b"a1")
    here.ask(1, GIVEN)
    here.ask(2, WHOLE)
    here.ask(3, COUNTED)
    here.ask(4, LIMITED, time="t", lateness_ms=500, group="g", ttl_ms=60_000, knows=("req*",))
    here.ask(5, "select path from request where usr == 1", ttl_ms=1_000)
    here.ask(6, WRONG)
    here.ask(7, RELAYED)
    here.ask(8, OTHERS)
    here.agent(b"a2", service="shop")
    here.pass_time(500, b"a2")
    here.connect(b"a2")
    _relay(here)
    here.pass_time(1_500, b"a1")
    here.tell_agent(b"a2", M.Subscribe(3, 0, "requests", "select later(a) from requests", 1_000))
    for what in ("agents", "queries", "streams", "metrics"):
        here.show(what)
    here.show("explain", COUNTED)
    here.show("streams", limit=1, brief=True)
    here.cancel(999)
    here.pass_time(300, b"a1")
    here.cancel(1)
    here.leave(2)
    here.pass_time(500, b"a1")
    here.goodbye(b"a2")
    here.pass_time(100)
    here.restart()
    here.pass_time(2_500, b"a1")
    chosen: dict[str, Said] = {}
    for said in here.said:
        before = chosen.setdefault(said.name, said)
        if said.leaves > before.leaves:
            chosen[said.name] = said
    return chosen


def _relay(here: Conversation) -> None:
    """Let a stream of the first agent be the answer of another source job."""
    stream = here.streams[b"a1", "errors"]
    made = inside.Upstream(inside.DatedEntry(stream), "eu:7767", lambda: None, frozenset, 0)
    made.feeds = (inside.upstream.Feed("j9", "eu:7767"),)
    stream.upstream = made
    now_ms = here.now_us // 1_000
    made.due_ms, made.wait_ms = now_ms + 2_000, 1_500

    def tell(ms: int) -> None:
        gone = (inside.Gone("cart@eu", now_ms - 90_000),)
        told = inside.upstream.Told(
            *(now_ms + ms, now_ms + ms + 500, 2, 1),
            missing=("pay@eu",),
            rate=0.5,
            clock_ms=3,
            gone=gone,
        )
        made.tell(told)

    here.pass_time(200)
    made.publish({"path": "/eu"}, here.now_us // 1_000)
    tell(0)
    here.pass_time(600)
    tell(500)
