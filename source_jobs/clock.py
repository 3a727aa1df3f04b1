"""The source job's clock: the time since it started, that follows the wall clock gently.

Windows are cut by this clock, so it never goes back and never jumps: where the wall clock is set,
it goes a little faster or slower until the two agree, and says so in the log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

PACE = 200
"""It gains or loses at most a 200th: less than agents' watermarks leave room for."""

_WORTH_TELLING_US = 1_000_000
_SLEW_US = 2_000
"""A wall clock that is less away than this was read late, or drifts as clocks do."""
_MOST_SAVED_US = 1_000_000

_log = logging.getLogger("source_jobs")


def _steady_ns() -> int:
    """Time that goes on while the machine sleeps, where there is such a clock."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic_ns() if boot is None else time.clock_gettime_ns(boot)


class Clock:
    """µs since 1970, for one thread. `wall_ns` may be set by anybody, `steady_ns` by nobody."""

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns, steady_ns: Callable[[], int] = _steady_ns
    ) -> None:
        self._wall_ns = wall_ns
        self._steady_ns = steady_ns
        self._steady_us = steady_ns() // 1000
        self._now_us = wall_ns() // 1000
        self._saved_us = 0
        self._is_away = self._slews = False

    def now_us(self) -> int:
        """Microseconds since 1970."""
        before_us, self._steady_us = self._steady_us, self._steady_ns() // 1000
        passed_us = self._steady_us - before_us
        self._now_us += passed_us
        away_us = self._wall_ns() // 1000 - self._now_us
        self._tell(away_us)
        self._slews = abs(away_us) > _SLEW_US
        self._saved_us = min(self._saved_us + passed_us, _MOST_SAVED_US)
        step_us = min(abs(away_us), self._saved_us // PACE)
        self._saved_us -= step_us * PACE
        self._now_us += step_us if away_us > 0 else -step_us
        return self._now_us

    @property
    def slews(self) -> bool:
        """Whether it follows a wall clock that was set, faster or slower than time."""
        return self._slews

    def _tell(self, away_us: int) -> None:
        is_away = abs(away_us) > _WORTH_TELLING_US
        if is_away and not self._is_away:
            _log.warning(
                "the wall clock was set by %.1f s; this source job follows it slowly, in %.0f s;"
                " start it anew to have the time of windows right at once",
                away_us / 1e6, abs(away_us) / 1e6 * PACE,
            )  # fmt: skip
        self._is_away = is_away
