"""The streams that agents offer, by stream, and the share of all names that a key may take.

The agents of one key have together no more names than are still free, and one agent no more than
are free to its key: so whoever offers few finds room, however many names others make up.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable


class Offers:
    """Which agents offer which streams; no more than `names_max` names, those of each key apart."""

    def __init__(self, names_max: int) -> None:
        self._names_max = names_max
        self._agents: dict[str, dict[str, None]] = {}
        self._by_key: dict[bytes, dict[str, int]] = {}
        self._used = 0
        self._sorted: list[str] | None = None

    def after(self, stream: str) -> list[str]:
        """The streams that come after one, by alphabet."""
        if self._sorted is None:
            self._sorted = sorted(self._agents)
        return self._sorted[bisect_right(self._sorted, stream) :]

    def of(self, stream: str) -> Iterable[str]:
        """The names of the agents that offer a stream."""
        return tuple(self._agents.get(stream, ()))

    def take(self, agent: str, key: bytes, stream: str, offered: int) -> bool:
        """An agent that offers so many streams offers one more; whether there is room for it."""
        names = self._by_key.get(key, {})
        if stream not in names:
            free = (self._names_max - self._used - len(names)) // 2
            if offered >= free:
                return False
            self._used += 1
        names[stream] = names.get(stream, 0) + 1
        self._by_key[key] = names
        if stream not in self._agents:
            self._agents[stream], self._sorted = {}, None
        self._agents[stream][agent] = None
        return True

    def drop(self, agent: str, key: bytes, streams: Iterable[str]) -> None:
        """An agent is forgotten, with what it offered."""
        names = self._by_key.get(key, {})
        for stream in streams:
            names[stream] -= 1
            if not names[stream]:
                del names[stream]
                self._used -= 1
            del self._agents[stream][agent]
            if not self._agents[stream]:
                del self._agents[stream]
                self._sorted = None
        if not names:
            self._by_key.pop(key, None)

    def validate(self) -> None:
        """Check what always holds; for tests."""
        assert self._used == sum(map(len, self._by_key.values())) <= self._names_max
        assert sum(map(len, self._agents.values())) == sum(
            sum(names.values()) for names in self._by_key.values()
        )
        assert self._sorted is None or self._sorted == sorted(self._agents)
