"""Tuning of this process's memory, for one long scan or for days. No answer depends on it.

Reading a file frees and takes the same few buffers thousands of times. glibc gives such memory
back to the system each time, and getting it anew costs page faults: a third of the time of a
scan. And what a scan allocates is freed by reference counting, so the cycle collector need not
look at it often.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP_BYTES = 1 << 28

_SHARE = 0.8
"""A run may ask for so much of the machine's memory: beyond, it would be killed without a word."""

_GROUP_LIMITS = tuple(
    Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory/memory.limit_in_bytes")
)


def tune_for_days() -> None:
    """Collect cycles again, which starting had put off: what goes on for days makes many."""
    gc.freeze()
    gc.enable()


def bound_memory() -> None:
    """Let an allocation fail that the machine could not bear. Does what the platform allows.

    What is mapped from files, or only set aside, does not count.
    """
    with contextlib.suppress(ImportError, OSError, ValueError, AttributeError):
        import resource  # noqa: PLC0415 - not on every platform

        page = os.sysconf("SC_PAGE_SIZE")
        there = os.sysconf("SC_PHYS_PAGES") * page
        for limit in _GROUP_LIMITS:
            with contextlib.suppress(OSError, ValueError):
                there = min(there, int(limit.read_text()))
        taken = int(Path("/proc/self/statm").read_text().split()[5]) * page
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        known = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
        bound = min([taken + int(_SHARE * there), *known])
        resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))


def tune_for_scans() -> None:
    """Keep freed buffers, and collect cycles seldom. Does what the platform allows."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    gc.enable()
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # not glibc
        return
    mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)
    mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
