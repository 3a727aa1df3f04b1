"""Who an agent is, as it says in its hello and as queries see it in `e['_agent']`."""

from __future__ import annotations

from dataclasses import dataclass, field

from mql.wire.messages import PROTOCOL, Hello
from publish_agent.settings import Settings


@dataclass(frozen=True, slots=True)
class Identity:
    """A random name for as long as the process lives, its proof, and the process."""

    agent: str
    pid: int
    proof: str = field(default="", repr=False)

    def hello(self, settings: Settings, streams: tuple[str, ...], now_us: int) -> Hello:
        """The first message to a source job."""
        return Hello(
            protocol=PROTOCOL,
            agent=self.agent,
            service=settings.service,
            host=settings.host,
            pid=self.pid,
            version=settings.version,
            sent_us=now_us,
            tags=dict(settings.tags),
            streams=streams,
            proof=self.proof,
        )

    def provenance(self, settings: Settings) -> dict[str, object]:
        """What `e['_agent']` holds."""
        return {
            "service": settings.service,
            "host": settings.host,
            "version": settings.version,
            "pid": self.pid,
            "tags": dict(settings.tags),
        }
