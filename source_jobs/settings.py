"""What a source job may be told: how long it waits, and how much it takes on."""

from __future__ import annotations

from dataclasses import dataclass, field

from mql.exec.limits import Limits
from mql.wire.messages import CLIENT_CREDIT_MAX

QUERY_BYTES = 64 << 10
"""A longer text of a query is refused."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Times and limits; at each limit something is refused or given up, and counted.

    `name` is the random name of this job, and `shown` what people know it by. After `grace_ms` an
    answer waits no longer for an agent, and after `gone_ms` of silence a peer is taken for gone. A
    catalogue is asked for anew after `catalogue_ms`, and waited for no longer than `look_ms`.
    `agent_credit` are the bytes of payload that an agent may have under way, `client_credit` those
    that a client may have, whatever it grants, `queue_bytes` what may wait for a subscriber,
    `queued_bytes` for all of them, `held` what a query may hold, and `held_bytes` what all of them
    may. The texts of all running
    queries have at most `text_bytes` together, and those that one client asks
    `text_bytes_per_client`: a plan takes a hundred bytes for one of its text, and a query that is
    long has many columns or conditions. A client has `new_at_once` new queries planned at once, and
    then `new_per_s` each second; all clients together `all_new_at_once` and `all_new_per_s`. Others
    wait. Agents offer `stream_names` together, and what they have seen of them takes
    `catalogue_bytes`.
    """

    name: str
    version: str = ""
    shown: str = ""
    grace_ms: int = 1_000
    gone_ms: int = 3_000
    catalogue_ms: int = 1_000
    look_ms: int = 80
    agent_credit: int = 8 << 20
    client_credit: int = CLIENT_CREDIT_MAX
    query_bytes: int = QUERY_BYTES
    streams_per_query: int = 64
    queries: int = 1_000
    queries_per_client: int = 200
    new_at_once: int = 200
    new_per_s: int = 20
    all_new_at_once: int = 2_000
    all_new_per_s: int = 200
    clients: int = 1_000
    agents: int = 10_000
    stream_names: int = 20_000
    catalogue_bytes: int = 256 << 20
    text_bytes: int = 4 << 20
    text_bytes_per_client: int = 256 << 10
    queue_bytes: int = 16 << 20
    queued_bytes: int = 256 << 20
    held_bytes: int = 1 << 30
    held: Limits = field(default_factory=lambda: Limits(bytes=1 << 30))
