"""A web application that publishes its requests, for gunicorn and for eventlet.wsgi."""

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

if __name__ == "__main__":
    import eventlet

    eventlet.monkey_patch()

from publish_agent import Agent

requests = Agent("web", os.environ["AGENTS"], cpu_share=100.0).stream("requests")


def application(environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
    status = requests.publish({"path": environ["PATH_INFO"]})
    start("200 OK", [("Content-Type", "text/plain")])
    return [status.name.encode()]


if __name__ == "__main__":
    import eventlet.wsgi

    eventlet.wsgi.server(
        eventlet.listen(("127.0.0.1", int(sys.argv[1]))), application, log_output=False
    )
