"""What the allocator keeps for the next drain."""

from __future__ import annotations

import ctypes
import os

import numpy as np

SCRATCH = 1 << 20
"""Bytes; up to twice as many stay with the process."""


def keep_scratch() -> None:
    """Have glibc keep the memory that a drain used for the next one.

    It gives back what is free at the end of its heap beyond 128 KB, and gets it anew, page by page,
    a few ms later: a third of what a drain of 16,000 events takes. Once a block that is larger than
    its threshold was freed, it keeps twice as much (mallopt(3), M_MMAP_THRESHOLD); a service that
    ever used a megabyte at once has come to that by itself. Elsewhere this does nothing.
    """
    np.empty(SCRATCH, np.uint8)  # never touched, so it takes no memory


def give_back() -> None:
    """Give back to the system what the imports have used and freed: half a megabyte.

    Only glibc has a function for that (malloc_trim(3)).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
