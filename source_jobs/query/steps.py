"""What a query does, in steps, between which others have their turn.

A step gives a piece of the answer or nothing, or wants work done beside the source job's thread,
whose value it is sent. Nothing else happens to the query before its steps are over.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar, cast

from source_jobs.query.answer_pieces import Piece

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Beside:
    """Work that takes long, and touches nothing but what belongs to its query."""

    work: Callable[[], object]


Steps = Generator[Piece | Beside | None, object, None]


def do(work: Callable[[], T], *, beside: bool) -> Generator[Beside, object, T]:
    """Do some work, beside the thread or here, and give its value."""
    return cast("T", (yield Beside(work))) if beside else work()
