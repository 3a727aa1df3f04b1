"""Subscriptions that wait to be planned: of each client in order, client by client in turn."""

from __future__ import annotations

from mql.wire.messages import Subscribe
from publish_agent.protocol.source_job_link import Link

TEXTS_MAX = 8 << 20
"""Characters of the texts of one source job that wait."""

_Turn = tuple[int, int]
"""A link, and the client of its source job."""


class Queue:
    """The subscriptions of all source jobs that wait, by query and source."""

    def __init__(self) -> None:
        self._turns: dict[_Turn, dict[int, dict[int, Subscribe]]] = {}
        self._links: dict[int, Link] = {}
        self._turn_of: dict[tuple[int, int], _Turn] = {}
        """By link and query."""
        self._counts: dict[int, tuple[int, int]] = {}
        """By link how many wait, and the characters of their texts."""

    def __bool__(self) -> bool:
        return bool(self._turns)

    def count(self, link: Link) -> int:
        """How many subscriptions of a link wait."""
        return self._counts.get(link.number, (0, 0))[0]

    def has_room(self, link: Link, message: Subscribe) -> bool:
        """Whether the text of one more of a link's may wait."""
        return self._counts.get(link.number, (0, 0))[1] + len(message.text) <= TEXTS_MAX

    def get(self, link: Link, query: int, source: int) -> Subscribe | None:
        """A subscription that waits."""
        turn = self._turn_of.get((link.number, query))
        return None if turn is None else self._turns[turn][query].get(source)

    def add(self, link: Link, message: Subscribe) -> None:
        """Let a subscription wait, after the others of its client; its query's others lead it."""
        mine = link.number, message.client
        turn = self._turn_of.setdefault((link.number, message.query), mine)
        self._links[link.number] = link
        self._turns.setdefault(turn, {}).setdefault(message.query, {})[message.source] = message
        self._count(link, 1, len(message.text))

    def take(self) -> tuple[Link, Subscribe]:
        """The first one of the client whose turn it is; the next turn is another's."""
        turn, queries = next(iter(self._turns.items()))
        message = next(iter(next(iter(queries.values())).values()))
        link = self._links[turn[0]]
        del self._turns[turn]
        self._turns[turn] = queries
        self.remove(link, message.query, message.source)
        return link, message

    def remove(self, link: Link, query: int, source: int | None = None) -> None:
        """Let go of a query's subscriptions that wait, or of that on one source."""
        turn = self._turn_of.get((link.number, query))
        if turn is None:
            return
        sources = self._turns[turn][query]
        for each in [source] if source is not None else list(sources):
            message = sources.pop(each, None)
            if message is not None:
                self._count(link, -1, -len(message.text))
        if not sources:
            del self._turns[turn][query], self._turn_of[link.number, query]
            if not self._turns[turn]:
                del self._turns[turn]

    def remove_all(self, link: Link) -> None:
        """Let go of all that wait for a link."""
        for query in self.queries(link):
            self.remove(link, query)

    def streams(self) -> set[str]:
        """The streams that subscriptions wait for."""
        waiting = (them.values() for queries in self._turns.values() for them in queries.values())
        return {message.stream for them in waiting for message in them}

    def queries(self, link: Link) -> list[int]:
        """The numbers of a link's queries that wait."""
        mine = (them for (number, _), them in self._turns.items() if number == link.number)
        return [query for queries in mine for query in queries]

    def validate(self) -> None:
        """Check what always holds; for tests."""
        assert {
            (turn[0], query): turn for turn, queries in self._turns.items() for query in queries
        } == self._turn_of
        counts: dict[int, tuple[int, int]] = {}
        for (number, _), queries in self._turns.items():
            assert queries
            for sources in queries.values():
                assert sources
                count, characters = counts.get(number, (0, 0))
                texts = sum(len(message.text) for message in sources.values())
                counts[number] = count + len(sources), characters + texts
        assert counts == self._counts
        assert self._links.keys() == counts.keys()

    def _count(self, link: Link, number: int, characters: int) -> None:
        count, before = self._counts.get(link.number, (0, 0))
        self._counts[link.number] = count + number, before + characters
        if not count + number:
            del self._counts[link.number], self._links[link.number]
