"""What a client's core says: frames to send, and what goes to the one who asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mql.errors import MQLError
from mql.wire.messages import Answer, Ended, Rejected


class SourceJobError(MQLError):
    """A source job cannot be reached, or refuses what it was asked."""


class AwayError(SourceJobError):
    """Nobody answers, or not in time: the same may be asked again."""


@dataclass(frozen=True, slots=True)
class Gap:
    """What was missed: the time for which there is no answer, and pieces of it that got lost.

    Times are in ms by the source job's clock, None where nobody knows them.
    """

    from_ms: int | None
    to_ms: int | None
    pieces: int = 0


@dataclass(frozen=True, slots=True)
class Started:
    """The query runs; `gap` is set if it does so again."""

    query: int
    start_ms: int
    warnings: tuple[str, ...]
    gap: Gap | None


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an answer as it came; `missed` pieces before it never did."""

    answer: Answer
    payload: bytes
    missed: int = 0


@dataclass(frozen=True, slots=True)
class Missed:
    """The end of the answer, for which nobody was there."""

    gap: Gap


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing more comes, because this side has closed."""


@dataclass(frozen=True, slots=True)
class Transmit:
    """Frames for the source job."""

    frames: Sequence[bytes | memoryview]


@dataclass(frozen=True, slots=True)
class Deliver:
    """Something for the subscription of that number."""

    subscription: int
    item: Started | Piece | Missed | Rejected | Ended | Closed


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a single request: JSON, or why there is none.

    It is a page, and more follows, where `after` is not empty.
    """

    request: int
    result: bytes | Rejected
    after: str = ""


Action = Transmit | Deliver | Reply
