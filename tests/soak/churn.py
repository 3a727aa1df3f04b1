"""Agents, queries and clients that come and go while a soak runs; drawn from one seed."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import TypeVar

from benchmarks.processes import start, stop
from source_jobs.client import Client, HttpClient, SourceJobError, Subscription
from tests.faults.fleet import Fleet, Service
from tests.soak.questions import QUESTIONS

_T = TypeVar("_T")

_MOST_QUERIES, _MOST_AGENTS, _MOST_CLIENTS = 6, 2, 2


class Churn:
    """Does one small thing at a time; `done` counts what, by name."""

    def __init__(self, fleet: Fleet, client: Client | HttpClient, seed: int) -> None:
        self._fleet = fleet
        self._client = client
        self._random = Random(seed)  # noqa: S311 - no secret
        self._answers: list[Subscription] = []
        self._agents: list[Service] = []
        self._clients: list[subprocess.Popen[str]] = []
        self._number = 0
        self.rows = 0
        self.killed: list[Service] = []
        """Agents that were killed; what they held is lost."""
        self.left: list[Service] = []
        """Agents that said goodbye."""
        self.done: Counter[str] = Counter()

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing of it is there."""
        return not (self._answers or self._agents or self._clients)

    def step(self) -> None:
        """Let something come, or go."""
        steps: list[tuple[str, Callable[[], None]]] = []
        if len(self._answers) < _MOST_QUERIES:
            steps += [("queries asked", self._ask)] * 4
        if self._answers:
            steps += [("queries left", self._leave)] * 3
        if len(self._agents) < _MOST_AGENTS:
            steps.append(("agents come", self._join))
        if self._agents:
            steps.append(("agents gone", self._part))
            steps += [("agents killed", self._kill)] * (self._random.random() < 0.3)
        if len(self._clients) < _MOST_CLIENTS:
            steps.append(("clients come", self._connect))
        if self._clients:
            steps.append(("clients killed", self._disconnect))
        name, act = self._random.choice(steps)
        act()
        self.done[name] += 1

    def end(self) -> None:
        """Have all go."""
        while self._answers:
            self._leave()
        while self._agents:
            self._part()
        while self._clients:
            self._disconnect()

    def _ask(self) -> None:
        text = self._random.choice(QUESTIONS)
        with contextlib.suppress(SourceJobError):
            answer = self._client.subscribe(text, timeout_s=10)
            self._answers.append(answer)
            threading.Thread(target=self._read, args=(answer,), daemon=True).start()

    def _read(self, answer: Subscription) -> None:
        for window in answer:
            self.rows += window.num_rows

    def _leave(self) -> None:
        self._pick(self._answers).close()

    def _join(self) -> None:
        self._number += 1
        self._agents.append(self._fleet.start_like("near0", f"comes{self._number}"))

    def _part(self) -> None:
        service = self._pick(self._agents)
        service.end()
        del self._fleet.services[service.name]
        self.left.append(service)

    def _kill(self) -> None:
        service = self._pick(self._agents)
        service.kill()
        del self._fleet.services[service.name]
        self.killed.append(service)

    def _connect(self) -> None:
        query = self._random.choice(QUESTIONS[:-1])
        where = ("--source-job", self._client.address, "--out", "/dev/null")
        self._clients.append(start("cli", "query", query, *where))

    def _disconnect(self) -> None:
        client = self._pick(self._clients)
        client.kill()
        stop(client)

    def _pick(self, things: list[_T]) -> _T:
        return things.pop(self._random.randrange(len(things)))
