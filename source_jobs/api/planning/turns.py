"""Work that is done piece by piece, for one caller after another."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from source_jobs.api.errors import refuse
from source_jobs.api.planning.outline import Outline

WAITING_MAX = 100
"""Texts of one caller that may wait."""


@dataclass(frozen=True, slots=True, eq=False)
class _Wish:
    text: str
    done: asyncio.Future[Outline]


@dataclass(slots=True)
class Turns:
    """Does one thing at a time; the callers who wait have their turns, whoever wants how much."""

    do: Callable[[str], Awaitable[Outline]]
    _waiting: dict[str, deque[_Wish]] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None

    async def take(self, caller: str, text: str) -> Outline:
        """Have a text planned. Raises what `do` raises, and Refusal where too many wait."""
        wish = _Wish(text, asyncio.get_running_loop().create_future())
        own = self._waiting.setdefault(caller, deque())
        if len(own) >= WAITING_MAX:
            reason = f"{len(own)} queries of {caller!r} wait to be planned, as many as may"
            raise refuse(429, reason, {"retry-after": "5"})
        own.append(wish)
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await wish.done

    def close(self) -> None:
        """Do nothing more; those who wait are gone."""
        if self._task is not None:
            self._task.cancel()

    async def _work(self) -> None:
        try:
            while self._waiting:
                caller = next(iter(self._waiting))
                own = self._waiting.pop(caller)
                wish = own.popleft()
                if own:
                    self._waiting[caller] = own  # behind all others
                await self._fulfil(wish)
        finally:
            self._task = None

    async def _fulfil(self, wish: _Wish) -> None:
        if wish.done.done():
            return  # who wanted it has gone
        try:
            outline = await self.do(wish.text)
        except Exception as error:  # noqa: BLE001 - it is raised where it belongs
            if not wish.done.done():
                wish.done.set_exception(error)
        else:
            if not wish.done.done():
                wish.done.set_result(outline)
