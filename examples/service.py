"""A small real HTTP service, instrumented with the publish agent in three lines.

    python -m examples.service checkout --source-job tcp://127.0.0.1:7766

answers GET requests on a free port, which it prints, until its standard input ends. One in a
hundred fails, and every other three seconds most payments by giropay in `checkout`: that is what
the demo looks for.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import publish_agent.preload  # noqa: F401 - the demo asks at once
from publish_agent import Agent, Stream

_INCIDENT_EVERY_S, _INCIDENT_LASTS_S = 6, 3
_FAILING, _ERRORS, _MISSING = 0.8, 0.01, 0.03


class Service(ThreadingHTTPServer):
    """Serves one service's paths and publishes an event for each request."""

    def __init__(self, name: str, requests: Stream) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.name = name
        self.requests = requests
        self.started = time.monotonic()

    def status_of(self, path: str, provider: str) -> int:
        """What becomes of a request."""
        phase = (time.monotonic() - self.started) % _INCIDENT_EVERY_S
        chance = random.random()
        if path == "/pay" and provider == "giropay" and phase < _INCIDENT_LASTS_S:
            return 503 if chance < _FAILING else 200
        return 500 if chance < _ERRORS else 404 if chance < _MISSING else 200


class Handler(BaseHTTPRequestHandler):
    """Answers one request after another of a connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Service

    def do_GET(self) -> None:
        """Answer, and publish what happened."""
        start = time.perf_counter()
        url = urlsplit(self.path)
        asked = {key: values[0] for key, values in parse_qs(url.query).items()}
        provider = asked.get("provider", "card")
        status = self.server.status_of(url.path, provider)
        body = f"{status}\n".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.server.requests.publish(
            {
                "path": url.path,
                "status": status,
                "user_id": asked.get("user", ""),
                "latency_ms": round((time.perf_counter() - start) * 1000, 3),
                "payment": {"provider": provider, "card_number": "4111 1111 1111 1111"},
            }
        )

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base's name
        """Say nothing: that is what the agent is for."""


def main() -> int:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("name")
    parser.add_argument("--source-job", required=True)
    options = parser.parse_args()
    agent = Agent(
        service=options.name,
        source_jobs=[options.source_job],
        tags={"zone": "local"},
        redact=["card_number"],
    )
    service = Service(options.name, agent.stream("requests"))
    threading.Thread(target=service.serve_forever, daemon=True).start()
    print(service.server_port, flush=True)
    sys.stdin.read()
    service.shutdown()
    agent.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
