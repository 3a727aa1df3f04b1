"""The publish agent: a service's events, offered to queries as they happen.

from publish_agent import Agent

requests = Agent(service="checkout").stream("requests")
requests.publish({"path": "/pay", "status": 200, "latency_ms": 12.5})
"""

from publish_agent.runtime.interpreter import require_gil, require_main

require_main()

from publish_agent.agent import Agent  # noqa: E402 - only where it may be imported
from publish_agent.capture.event_buffer import Status  # noqa: E402
from publish_agent.stream import Stream  # noqa: E402

__all__ = ["Agent", "Status", "Stream"]

require_gil()
