"""Those that have something to do, and whose turn it is: that of who has taken the least time.

Owners have their turn by the processor time that theirs have taken, however many these are, and of
an owner one after another. Who was away has saved nothing up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


@dataclass(slots=True)
class WorkLine(Generic[T]):
    """Those that wait, by owner; times are arguments."""

    _waiting: dict[bytes, deque[T]] = field(default_factory=dict)
    _owners: dict[T, bytes] = field(default_factory=dict)
    _taken_us: dict[bytes, int] = field(default_factory=dict)
    """Of those owners that wait, and of those that lately did."""
    _least_us: int = 0
    """What the owner had taken whose turn it was last."""

    def __bool__(self) -> bool:
        return bool(self._owners)

    def __contains__(self, one: T) -> bool:
        return one in self._owners

    def __iter__(self) -> Iterator[T]:
        return chain.from_iterable(self._waiting.values())

    def add(self, one: T, owner: bytes) -> None:
        """One has something to do."""
        if one in self._owners:
            return
        self._owners[one] = owner
        if owner not in self._waiting:
            self._waiting[owner] = deque()
            self._taken_us[owner] = max(self._taken_us.get(owner, 0), self._least_us)
        self._waiting[owner].append(one)

    def next(self) -> T | None:
        """The one whose turn it is, which is the last of its owner then; None if none waits."""
        if not self._waiting:
            return None
        owner = min(self._waiting, key=self._taken_us.__getitem__)
        self._least_us = self._taken_us[owner]
        line = self._waiting[owner]
        line.rotate(-1)
        return line[-1]

    def charge(self, owner: bytes, taken_us: int) -> None:
        """Those of an owner have taken so much time."""
        if self._waiting:
            self._taken_us[owner] = max(self._taken_us.get(owner, 0), self._least_us) + taken_us

    def remove(self, one: T) -> None:
        """One has nothing to do any more."""
        owner = self._owners.pop(one, None)
        if owner is None:
            return
        self._waiting[owner].remove(one)
        if not self._waiting[owner]:
            del self._waiting[owner]
            self._forget()

    def _forget(self) -> None:
        """Forget who has taken no more than those whose turn it is."""
        if not self._waiting:
            self._taken_us.clear()
            self._least_us = 0
        elif len(self._taken_us) > 2 * len(self._waiting):
            self._taken_us = {
                owner: us
                for owner, us in self._taken_us.items()
                if owner in self._waiting or us > self._least_us
            }
