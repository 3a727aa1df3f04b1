"""The messages of the protocol, as values.

Times ending in `_us` are microseconds since 1970 by the sender's clock, those in `_ms`
milliseconds by the source job's. A query's number is the source job's; `source` says which of the
query's sources, by position, a subscription or a part is about.
"""

from __future__ import annotations

import msgspec

from mql.ledger import Completeness, Tally
from mql.wire.upstream import Feed, Told

PROTOCOL = 1
"""The protocol's version; both sides refuse another."""

CLIENT_CREDIT_MAX = 16 << 20
"""Bytes of payload that may be under way to one client, whatever it grants."""

MAX_WEIGHT = 1_000
"""One event stands for at most so many."""


class Message(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="is"):
    """The root of all messages."""


# Agent to source job


class Hello(Message, frozen=True, tag="hello"):
    """The first message on a connection, and the answer to `Unknown`.

    `agent` is a random name that this agent keeps until its process ends. `proof` is a random text
    that goes with it and is told to nobody else: who says the name without it is somebody else.
    """

    protocol: int
    agent: str
    service: str
    host: str
    pid: int
    version: str
    sent_us: int
    tags: dict[str, str] = {}
    streams: tuple[str, ...] = ()
    proof: str = ""


class Accept(Message, frozen=True, tag="accept"):
    """The agent runs the query now: events from `start_ms` on are in its tallies.

    A new process, which was asked with its first welcome, says how many events of the stream it
    had published before (`unseen`), and when the first of them (`unseen_ms`). Any other leaves
    that out: it does not know.
    """

    query: int
    source: int
    start_ms: int
    unseen: int | None = None
    unseen_ms: int = 0


class Refuse(Message, frozen=True, tag="refuse"):
    """The agent does not run the query, or no longer does."""

    query: int
    source: int
    reason: str


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """One query's share of a batch: its tallies, and the rows of the payload that are its own.

    `sequence` counts the parts of this query and source from 1. No event before `watermark_ms`
    will follow. `shipped_total` and `seen_total` are sums over all parts up to this one, so that
    a gap in the sequence says how much it held. `rows` are indices into the payload, as
    little-endian uint32; None means all rows. `has_rows` is whether the payload concerns this
    part at all. Each event in it stands for `weight` that were published: more than 1 if it was
    kept at random to stay inside the agent's budget.

    Of a stream that is another source job's answer `upstream` names that job, and `told` is what
    it has said of the time up to the watermark since the part before. It will have said more by
    `due_ms`, if it is well, and it tells of a moment at the latest `wait_ms` after it.
    """

    query: int
    source: int
    sequence: int
    watermark_ms: int
    shipped_total: int
    seen_total: int
    tallies: tuple[Tally, ...] = ()
    has_rows: bool = False
    rows: bytes | None = None
    weight: int = 1
    upstream: str = ""
    told: tuple[Told, ...] = ()
    due_ms: int = 0
    wait_ms: int = 0


class Batch(Message, frozen=True, tag="batch"):
    """What an agent has to say about running queries; the payload holds events, or states.

    The payload is an Arrow IPC stream of one record batch, in the layout of `mql.columnar.layout`;
    of states if `states` is true, which then belong to the one part. By `clock_us` the agent may
    take the source job's clock wrong, and so the times of events.
    """

    parts: tuple[Part, ...]
    states: bool = False
    clock_us: int = 0


class QueryCost(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a query has cost in an agent since it began.

    Events tested, passed on by the screen, shipped; nanoseconds of the background thread; bytes
    sent; and how the screen looks for it, in words.
    """

    query: int
    source: int
    tested: int = 0
    candidates: int = 0
    shipped: int = 0
    spent_ns: int = 0
    sent_bytes: int = 0
    screen: str = ""


class Heartbeat(Message, frozen=True, tag="heartbeat"):
    """Sent every second, and at once when a new stream appears.

    `offset_us` is by how much the source job's clock is ahead, as the agent knows it, and
    `clock_us` how far that may be wrong; `lag_us` is how late the agent's background thread wakes,
    and `dropped` all events it ever dropped. It keeps one event of `weight`, and takes `cpu_share`
    of a core. `feeds` are the source jobs whose answers are among its streams, and those upstream
    of them. `waiting` are the numbers of queries that it has, and has not planned yet.
    """

    sent_us: int
    watermark_ms: int
    offset_us: int = 0
    lag_us: int = 0
    dropped: int = 0
    streams: tuple[str, ...] = ()
    costs: tuple[QueryCost, ...] = ()
    weight: int = 1
    cpu_share: float = 0.0
    clock_us: int = 0
    feeds: tuple[Feed, ...] = ()
    waiting: tuple[int, ...] = ()


class FieldSeen(msgspec.Struct, frozen=True, omit_defaults=True):
    """A property that was seen: its path as MQL writes it, its kinds, and one value as JSON."""

    path: str
    kinds: tuple[str, ...]
    example: str = ""


class StreamSeen(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stream that an agent offers, with events a second and the fields of recent events."""

    stream: str
    rate: float
    fields: tuple[FieldSeen, ...] = ()


class Catalogue(Message, frozen=True, tag="catalogue"):
    """What an agent has seen; the answer to `Look`."""

    streams: tuple[StreamSeen, ...]


class Goodbye(Message, frozen=True, tag="goodbye"):
    """The agent's process ends; all it had has been sent."""


# Source job to agent


class Welcome(Message, frozen=True, tag="welcome"):
    """The answer to `Hello`, which had come at `received_us`. `credit` is in bytes of payload.

    The clock `slews` as in `Beat`.
    """

    protocol: int
    job: str
    credit: int
    hello_us: int
    received_us: int
    sent_us: int
    slews: bool = False


class Unknown(Message, frozen=True, tag="unknown"):
    """Something came from one who has not said hello, or long ago: begin anew."""


class Subscribe(Message, frozen=True, tag="subscribe"):
    """Run the agent's half of a query on a stream.

    `time` is the property that holds the event's time; empty means the time of publishing.
    `slot_ms` is the length of the tallies' slots. `states` allows to ship states. `client` tells
    clients apart: those subscriptions that have to wait in an agent are planned client by client in
    turn.
    """

    query: int
    source: int
    stream: str
    text: str
    slot_ms: int
    time: str = ""
    seed: int = 0
    states: bool = False
    client: int = 0


class Unsubscribe(Message, frozen=True, tag="unsubscribe"):
    """Stop running a query."""

    query: int


class Credit(Message, frozen=True, tag="credit"):
    """So many more bytes of payload may be sent. Also from a client to the source job."""

    size: int


class Beat(Message, frozen=True, tag="beat"):
    """The answer to a heartbeat, which had been sent at `echo_us` and came at `received_us`.

    The source job's clock `slews` while it follows a wall clock that was set, up to a 200th faster
    or slower than time.
    """

    echo_us: int
    received_us: int
    sent_us: int
    slews: bool = False


class Look(Message, frozen=True, tag="look"):
    """Say what streams and fields there are."""


# Client to source job


class Connect(Message, frozen=True, tag="connect"):
    """The first message of a client, and the answer to `Unknown`. `user` is shown to others.

    `sent_us` is by the client's own clock, whatever that counts from.
    """

    protocol: int
    client: str
    user: str
    version: str
    credit: int
    sent_us: int = 0


class Ask(Message, frozen=True, tag="ask"):
    """Run a query and send its answer. `request` is the client's number for it.

    Clients that name the same `group` share the rows. `ttl_ms` ends the query after that time;
    0 means never. `time` and `lateness_ms`: the property that holds the time of events and how
    late they may come. `knows` are patterns with `*` of the streams whose names may be told to who
    asks; without any all may be.
    """

    request: int
    query: str
    time: str = ""
    lateness_ms: int = 0
    group: str = ""
    ttl_ms: int = 0
    knows: tuple[str, ...] = ()


class Leave(Message, frozen=True, tag="leave"):
    """The client does not want the answer any more."""

    request: int


class Alive(Message, frozen=True, tag="alive"):
    """Sent by a client every second, and answered in kind.

    The answer says when (`sent_us`) the client had said it (`echo_us`), when that came, which
    source jobs are upstream of this one (`feeds`), and how many of the client's queries it has not
    planned yet (`waiting`).
    """

    sent_us: int = 0
    echo_us: int = 0
    received_us: int = 0
    feeds: tuple[Feed, ...] = ()
    waiting: int = 0


class Show(Message, frozen=True, tag="show"):
    """Show `agents`, `queries`, `streams`, `metrics`, or, with a query, its plan: `explain`.

    Of the first three a page: `after` is what the page before said, and `limit` the most that is
    wanted, where 0 sets none; `brief` leaves out fields and lists.
    """

    request: int
    what: str
    query: str = ""
    after: str = ""
    limit: int = 0
    brief: bool = False


class Cancel(Message, frozen=True, tag="cancel"):
    """End a query for all who asked it."""

    request: int
    query: int


# Source job to client


class Connected(Message, frozen=True, tag="connected"):
    """The answer to `Connect`. `job` is a random name that this source job keeps.

    `shown` is how people know it; the other fields are as in `Alive`.
    """

    protocol: int
    job: str
    version: str
    shown: str = ""
    sent_us: int = 0
    echo_us: int = 0
    received_us: int = 0
    feeds: tuple[Feed, ...] = ()


class Answering(Message, frozen=True, tag="answering"):
    """The query runs: its number, what is to be known before reading its answer."""

    request: int
    query: int
    start_ms: int
    warnings: tuple[str, ...] = ()


class Rejected(Message, frozen=True, tag="rejected"):
    """A request that cannot be done: the message, and for a query its place and hint."""

    request: int
    reason: str
    line: int = 0
    column: int = 0
    start: int = 0
    end: int = 0
    hint: str = ""
    is_query: bool = False


class Answer(Message, frozen=True, tag="answer"):
    """A piece of an answer: a window when it closes, or some rows, or a second's completeness.

    `sequence` counts from 1. The payload, if any, is an Arrow IPC stream of one record batch
    of output rows, of the one window from `start_ms` to `end_ms` where the query has those.
    With a `completeness`, `wait_ms` is how long after its end it comes at the latest.
    """

    request: int
    sequence: int
    closes: bool
    start_ms: int | None = None
    end_ms: int | None = None
    completeness: Completeness | None = None
    wait_ms: int = 0


class Ended(Message, frozen=True, tag="ended"):
    """The answer is over, and why: `limit`, `time to live`, `cancelled by …`, an error's text.

    `failed` is whether that is an error. `total` adds up the whole answer.
    """

    request: int
    reason: str
    failed: bool
    total: Completeness


class Shown(Message, frozen=True, tag="shown"):
    """The answer to `Show` and `Cancel`: JSON as the payload.

    More follows where `after` is not empty, for a `Show` that repeats it.
    """

    request: int
    after: str = ""


AgentMessage = Hello | Accept | Refuse | Batch | Heartbeat | Catalogue | Goodbye
ToAgent = Welcome | Unknown | Subscribe | Unsubscribe | Credit | Beat | Look
ClientMessage = Connect | Ask | Leave | Alive | Show | Cancel | Credit
ToClient = Connected | Unknown | Answering | Rejected | Answer | Ended | Shown | Alive
