"""A program under gevent or eventlet: it publishes, asks for its own events, and ticks meanwhile.

`script.py HOW LIBRARY AGENTS CLIENTS`, where HOW says when the patch comes: before the import of
our packages, after it, or once an agent and a client run. Prints what came of it as JSON.
"""

# ruff: noqa: E402

import json
import sys
import time
from itertools import pairwise

HOW, LIBRARY, AGENTS, CLIENTS = sys.argv[1:5]
EVENTS = 1_000


def patch() -> None:
    if LIBRARY == "gevent":
        from gevent import monkey

        monkey.patch_all(thread=HOW != "without threads")
    elif LIBRARY == "eventlet":
        import eventlet

        eventlet.monkey_patch()


if HOW in ("before", "without threads"):
    patch()

from publish_agent import Agent, Status
from source_jobs import connect

if HOW == "after":
    patch()

agent = Agent("script", AGENTS, cpu_share=100.0)
requests = agent.stream("requests")
client = connect(CLIENTS, timeout_s=10)

if HOW == "late":
    patch()

if LIBRARY == "gevent":
    from gevent import spawn
else:
    from eventlet import spawn

ticks_s: list[float] = []


def tick() -> None:
    while True:
        ticks_s.append(time.monotonic())
        time.sleep(0.005)


def publish(first: int) -> None:
    while requests.publish({"n": first}) is not Status.ACCEPTED:
        time.sleep(0.01)
    for n in range(first + 1, first + EVENTS // 10):
        statuses.append(requests.publish({"n": n}).name)
        if n % 10 == 0:
            time.sleep(0.001)


statuses: list[str] = []
list(client.subscribe("select n from requests", ttl_ms=300, timeout_s=10))  # all is loaded now
spawn(tick)
time.sleep(0.05)
with client.subscribe("select n from requests", timeout_s=10) as answer:
    quiet_s = time.monotonic() + 1.5  # nothing is published yet
    while (left_s := quiet_s - time.monotonic()) > 0:
        nothing = answer.get(left_s)
        assert nothing is None or not nothing.rows()
    for first in range(0, EVENTS, EVENTS // 10):
        spawn(publish, first)
    rows: list[int] = []
    lost = 0
    for piece in answer:
        rows += [row["n"] for row in piece.rows()]
        if piece.completeness is not None:
            lost += piece.completeness.lost - piece.completeness.unseen
        if len(rows) + lost >= EVENTS:
            break
agents = [known["service"] for known in client.agents()]
client.close()
longest_s = max(b - a for a, b in pairwise(ticks_s))
began_s = time.monotonic()
agent.close()
told = {
    "rows": len(rows),
    "different": len(set(rows)),
    "lost": lost,
    "statuses": sorted(set(statuses)),
    "agents": agents,
    "longest_s": longest_s,
    "close_s": time.monotonic() - began_s,
}
sys.stdout.write(json.dumps(told))
