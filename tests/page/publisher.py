"""A service that publishes: `python -m tests.page.publisher ADDRESS SERVICE STREAM RATE`."""

from __future__ import annotations

import sys
import time

from publish_agent import Agent


def main() -> None:
    address, service, stream, rate = sys.argv[1:]
    agent = Agent(service=service, source_jobs=[address])
    publish = agent.stream(stream).publish
    start, number = time.monotonic(), 0
    while True:
        while number < (time.monotonic() - start) * int(rate):
            who = (
                {"user_id": f"u{number % 4}"}
                if stream != "payments"
                else {"payer": f"u{number % 4}"}
            )
            publish(
                {
                    "n": number,
                    **who,
                    "status": 500 if number % 5 == 0 else 200,
                    "path": ["/pay", "/cart", "/<b>&amp;"][number % 3],
                    "latency_ms": number % 17 + 0.5,
                    "big": 2**53 + 1,
                }
            )
            number += 1
        time.sleep(0.005)


if __name__ == "__main__":
    main()
