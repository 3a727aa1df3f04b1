"""How often a caller may come: a bucket of requests that fills with time. Pure."""

from __future__ import annotations

from dataclasses import dataclass

_MOST_CALLERS = 2_000


@dataclass(slots=True)
class _Bucket:
    left: float
    filled_s: float


class RateLimiter:
    """Lets through `per_minute` requests of each caller, a sixth of them at once.

    Of more than 2,000 callers the bucket of the one who came least lately is forgotten.
    """

    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}

    def wait_s(self, caller: str, per_minute: int, now_s: float) -> float:
        """Take one request: 0 if it may pass, else the seconds until one may."""
        most = max(1.0, per_minute / 6)
        bucket = self._buckets.pop(caller, None) or _Bucket(most, now_s)
        self._buckets[caller] = bucket  # the newest is last
        if len(self._buckets) > _MOST_CALLERS:
            del self._buckets[next(iter(self._buckets))]
        pace_s = 60 / per_minute
        bucket.left = min(most, bucket.left + max(0.0, now_s - bucket.filled_s) / pace_s)
        bucket.filled_s = now_s
        if bucket.left < 1:
            return (1 - bucket.left) * pace_s
        bucket.left -= 1
        return 0.0
