"""The publish agent: a service's events, offered to queries as they happen.

from publish_agent import Agent

requests = Agent(service="checkout").stream("requests")
requests.publish({"path": "/pay", "status": 200, "latency_ms": 12.5})
"""

from publish_agent.agent import Agent
from publish_agent.intake import Status
from publish_agent.interpreter import require_gil
from publish_agent.stream import Stream

__all__ = ["Agent", "Status", "Stream"]

require_gil()
