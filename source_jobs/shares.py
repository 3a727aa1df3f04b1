"""What some have together: none may have more than is still free.

So whoever takes little finds room, however much others take.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Room:
    """What some may have together; `used` is counted by them."""

    limit: int
    used: int = 0

    @property
    def free(self) -> int:
        """How much is left."""
        return self.limit - self.used


@dataclass(slots=True)
class Shares:
    """What the owners of some keys have together, of which no key has more than is still free.

    Who comes without a key has no share that is bounded: there is nothing to tell it by.
    """

    limit: int
    used: int = 0
    _by_key: dict[bytes, int] = field(default_factory=dict)

    def left(self, key: bytes) -> int:
        """How much more a key may take."""
        return self.limit - self.used - (self._by_key.get(key, 0) if key else 0)

    def of(self, key: bytes) -> int:
        """How much a key has."""
        return self._by_key.get(key, 0)

    def take(self, key: bytes, size: int = 1) -> None:
        """A key takes some."""
        self.used += size
        self._by_key[key] = self._by_key.get(key, 0) + size

    def give(self, key: bytes, size: int = 1) -> None:
        """A key gives some back."""
        self.used -= size
        self._by_key[key] -= size
        if not self._by_key[key]:
            del self._by_key[key]

    def validate(self) -> None:
        """Check what always holds; for tests."""
        assert self.used == sum(self._by_key.values()) <= self.limit
        assert min(self._by_key.values(), default=1) > 0
