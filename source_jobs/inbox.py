"""Messages between a socket and the state: read early, and taken in turn.

ZeroMQ gives them connection by connection. Here the owners of keys have their turn one after
another, and of each owner its connections, however many there are. Who comes without a key is an
owner by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Self

from source_jobs.shares import Shares

BYTES_MAX = 256 << 20
"""Of all messages of a side that were read and not taken."""
_MESSAGE_BYTES = 1_000
"""What a message takes beside its frames."""
_ABSENT_US = 3_000_000
"""A key of which nothing has come for so long needs no room."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message: who sent it, and the key of its connection."""

    peer: bytes
    frames: Sequence[bytes]
    key: bytes
    size: int
    """How much memory it takes."""

    @classmethod
    def of(cls, peer: bytes, frames: Sequence[bytes], key: bytes = b"") -> Self:
        """A message of these frames."""
        return cls(peer, frames, key, sum(map(len, frames)) + _MESSAGE_BYTES)

    @property
    def owner(self) -> bytes:
        """Whose turn it takes."""
        return self.key or self.peer


@dataclass(slots=True)
class _Line:
    """What has come by one connection."""

    letters: deque[Letter] = field(default_factory=deque)
    size: int = 0


@dataclass(slots=True)
class Inbox:
    """What was read and not taken yet, in order by connection.

    Where several keys are there, none has more of it than is still free: the fullest connection of
    the one with the most is ended by `cut`, and what has come by that is left out. `cut_off` counts
    them.
    """

    cut: Callable[[bytes], None]
    cut_off: int = 0
    _room: Shares = field(default_factory=lambda: Shares(BYTES_MAX))
    _owners: dict[bytes, dict[bytes, _Line]] = field(default_factory=dict)
    """In the order of their turns, as are the connections of each."""
    _heard_us: dict[bytes, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._owners)

    @property
    def is_full(self) -> bool:
        """Whether nothing more is to be read; ZeroMQ holds it, and then who sends it."""
        return self._room.used >= self._room.limit

    def put(self, letter: Letter, now_us: int) -> None:
        """Take a message in."""
        key, size = letter.key, letter.size
        while size > self._room.left(key) and self._is_among_others(key, now_us):
            owner, fullest = self._fullest(letter)
            self._forget(owner, fullest)
            self.cut_off += 1
            self.cut(fullest)
            if fullest == letter.peer:
                return
        if key:
            self._heard_us[key] = now_us
        line = self._owners.setdefault(letter.owner, {}).setdefault(letter.peer, _Line())
        line.letters.append(letter)
        line.size += size
        self._room.take(key, size)

    def take(self) -> Letter | None:
        """The message whose turn it is; None if there is none."""
        if not self._owners:
            return None
        owner = next(iter(self._owners))
        lines = self._owners.pop(owner)
        peer = next(iter(lines))
        line = lines.pop(peer)
        letter = line.letters.popleft()
        line.size -= letter.size
        self._room.give(letter.key, letter.size)
        if line.letters:
            lines[peer] = line
        if lines:
            self._owners[owner] = lines
        return letter

    def keep(self, allowed: Collection[bytes]) -> None:
        """Leave out what has come by keys that are not allowed any more."""
        self._heard_us = {k: us for k, us in self._heard_us.items() if k in allowed}
        for owner in [owner for owner in self._owners if owner not in allowed]:
            for peer in list(self._owners[owner]):
                self._forget(owner, peer)

    def validate(self) -> None:
        """Check what always holds; for tests."""
        lines = [line for lines in self._owners.values() for line in lines.values()]
        assert all(self._owners.values())
        assert all(line.letters for line in lines)
        assert all(line.size == sum(letter.size for letter in line.letters) for line in lines)
        assert self._room.used == sum(line.size for line in lines)

    def _is_among_others(self, key: bytes, now_us: int) -> bool:
        """Whether something has lately come by another key."""
        since_us = now_us - _ABSENT_US
        self._heard_us = {k: us for k, us in self._heard_us.items() if us >= since_us}
        return bool(key) and bool(self._heard_us.keys() - {key})

    def _fullest(self, letter: Letter) -> tuple[bytes, bytes]:
        """The key with the most, and the connection by which the most of that came."""
        having = {key: self._room.of(key) for key in self._owners}
        having[letter.key] = having.get(letter.key, 0) + letter.size
        key = max(having, key=having.__getitem__)
        sizes = {peer: line.size for peer, line in self._owners.get(key, {}).items()}
        if key == letter.key:
            sizes[letter.peer] = sizes.get(letter.peer, 0) + letter.size
        return key, max(sizes, key=sizes.__getitem__)

    def _forget(self, owner: bytes, peer: bytes) -> None:
        lines = self._owners.get(owner, {})
        line = lines.pop(peer, None)
        if line is not None:
            self._room.give(line.letters[0].key, line.size)
            if not lines:
                del self._owners[owner]
