"""A program that publishes when a line comes to its stdin, and then waits for its end.

`script.py HOW` says what signals find: the default, or a handler that the program sets before or
after its agent.
"""

import asyncio
import os
import signal
import sys
import time

from publish_agent import Agent

HOW = sys.argv[1]
LAST = 20


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def handle(*_: object) -> None:
    """What a host does: it ends as it likes, and `atexit` follows."""
    sys.exit(7)


if HOW == "handler before":
    signal.signal(signal.SIGTERM, handle)
requests = Agent("script", os.environ["AGENTS"], cpu_share=100.0).stream("requests")
if HOW in ("handler after", "restored"):
    signal.signal(signal.SIGTERM, handle)
if HOW == "restored":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def publish() -> None:
    sys.stdin.readline()
    say(" ".join(requests.publish({"path": f"/{number}"}).name for number in range(LAST)))


async def run() -> None:
    """Wait for the signal as `asyncio` has it."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    publish()
    await ended.wait()
    loop.remove_signal_handler(signal.SIGTERM)
    await asyncio.sleep(0)
    sys.exit(7)


if HOW == "asyncio":
    asyncio.run(run())
publish()
if HOW == "busy":
    while True:
        time.sleep(0)
if HOW == "raise":
    signal.raise_signal(signal.SIGTERM)
    say("went on")
time.sleep(60)
