"""Plans queries beside the event loop, which goes on meanwhile.

A short text is planned by a thread. A long one takes up to a second, and its plan megabytes: that
is for a process, which shares no interpreter, and which is there while there is something to plan.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from source_jobs.api.errors import refuse
from source_jobs.api.planning.child_process import LostError, PlanningProcess
from source_jobs.api.planning.outline import Outline, outline_of
from source_jobs.api.planning.planned import Planned, Wrong
from source_jobs.api.planning.turns import Turns
from source_jobs.api.telemetry.logs import Seldom
from source_jobs.settings import QUERY_BYTES

_SHORT = 500
"""Characters of a text that takes a few milliseconds."""

_LONGEST_S = 30.0
_IDLE_S = 60.0
_ROUND_S = 0.1

_log = logging.getLogger("source_jobs")


@dataclass(slots=True)
class Planner:
    """Plans, for one event loop; what one caller wants waits for no more than one of each other."""

    _process: PlanningProcess = field(default_factory=PlanningProcess)
    _seldom: Seldom = field(default_factory=Seldom)
    _idle: asyncio.TimerHandle | None = None
    _threads: tuple[ThreadPoolExecutor, ...] = field(init=False)
    _short: Turns = field(init=False)
    _long: Turns = field(init=False)

    def __post_init__(self) -> None:
        """Have a thread for each of the two kinds of text."""
        self._threads = tuple(ThreadPoolExecutor(1, "mql-planner") for _ in range(2))
        self._short, self._long = Turns(self._in_thread), Turns(self._in_process)

    async def outline(self, caller: str, text: str) -> Outline:
        """What is to be known of a query. Raises QueryError, and Refusal for what is too long."""
        if len(text) > QUERY_BYTES or len(text.encode("utf-8", "surrogatepass")) > QUERY_BYTES:
            raise refuse(413, f"the query is longer than {QUERY_BYTES:,} bytes")
        turns = self._short if len(text) <= _SHORT else self._long
        return await turns.take(caller, text)

    def close(self) -> None:
        """Plan nothing more."""
        self._short.close()
        self._long.close()
        self._keep()
        self._process.end()
        for each in self._threads:
            each.shutdown(wait=True)
        self._process.end()  # also the one that a thread had just started

    async def _in_thread(self, text: str) -> Outline:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads[0], outline_of, text)

    async def _in_process(self, text: str) -> Outline:
        loop = asyncio.get_running_loop()
        self._keep()
        planning = loop.run_in_executor(self._threads[1], self._process.plan, text)
        try:
            planned = await self._in_time(planning)
        except LostError as error:
            if self._seldom.says("lost"):
                _log.error("the process that plans queries was lost: %s", error)
            raise refuse(503, "the query could not be planned; try again") from None
        finally:
            self._idle = loop.call_later(_IDLE_S, self._process.end)
        if isinstance(planned, Wrong):
            raise planned.error(text)
        return planned

    async def _in_time(self, planning: asyncio.Future[Planned]) -> Planned:
        """What the process says. Raises LostError, and Refusal where it says nothing."""
        done, _ = await asyncio.wait({planning}, timeout=_LONGEST_S)
        if done:
            return planning.result()
        while not done:  # it may have just been started
            self._process.end()
            done, _ = await asyncio.wait({planning}, timeout=_ROUND_S)
        planning.exception()
        raise refuse(413, "the query takes too long to plan")

    def _keep(self) -> None:
        """Do not end the process for having nothing to do."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
