"""A service that ends some milliseconds after the first question, without closing its agent.

python -m tests.beside.leaving ADDRESS MILLISECONDS
"""

from __future__ import annotations

import sys
import time

from publish_agent import Agent, Status
from tests.beside.service import event

ASKED_S = 20.0


def main() -> None:
    address, delay_ms = sys.argv[1], float(sys.argv[2])
    stream = Agent("leaving", [address], cpu_share=100.0).stream("requests")
    number, give_up_s = 0, time.monotonic() + ASKED_S
    while stream.publish(event(number)) is Status.SKIPPED:
        if time.monotonic() > give_up_s:
            sys.exit("the question did not come")
        time.sleep(0.001)
        number += 1
    until_s = time.monotonic() + delay_ms / 1000
    while time.monotonic() < until_s:
        stream.publish(event(number))
        time.sleep(0.0005)
        number += 1


if __name__ == "__main__":
    main()
