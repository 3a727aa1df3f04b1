"""Tuning of this process's memory, for one long scan or for days. No answer depends on it.

Reading a file frees and takes the same few buffers thousands of times. glibc gives such memory
back to the system each time, and getting it anew costs page faults: a third of the time of a
scan. And what a scan allocates is freed by reference counting, so the cycle collector need not
look at it often.
"""

from __future__ import annotations

import ctypes
import gc

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP_BYTES = 1 << 28


def tune_for_days() -> None:
    """Collect cycles again, which starting had put off: what goes on for days makes many."""
    gc.freeze()
    gc.enable()


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
