"""What a source job may be told: how long it waits, and how much it takes on."""

from __future__ import annotations

from dataclasses import dataclass, field

from mql.exec.limits import Limits


@dataclass(frozen=True, slots=True)
class Settings:
    """Times and limits; at each limit something is refused or given up, and counted.

    `name` is the random name of this job. After `grace_ms` an answer waits no longer for an
    agent, and after `gone_ms` of silence a peer is taken for gone. A catalogue is asked for anew
    after `catalogue_ms`, and waited for no longer than `look_ms`. `agent_credit` are the bytes of
    payload that an agent may have under way, `queue_bytes` what may wait for a subscriber,
    `queued_bytes` for all of them, and `held` what a query may hold. The texts of all running
    queries have at most `text_bytes` together, and those that one client asks
    `text_bytes_per_client`: a plan takes a hundred bytes for one of its text, and a query that is
    long has many columns or conditions.
    """

    name: str
    version: str = ""
    grace_ms: int = 1_000
    gone_ms: int = 3_000
    catalogue_ms: int = 1_000
    look_ms: int = 80
    agent_credit: int = 8 << 20
    query_bytes: int = 64 << 10
    streams_per_query: int = 64
    queries: int = 1_000
    queries_per_client: int = 200
    clients: int = 1_000
    agents: int = 10_000
    text_bytes: int = 4 << 20
    text_bytes_per_client: int = 256 << 10
    queue_bytes: int = 16 << 20
    queued_bytes: int = 256 << 20
    held: Limits = field(default_factory=lambda: Limits(bytes=1 << 30))
