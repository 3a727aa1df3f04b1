"""Source jobs: they ask agents, merge what comes, run their half of queries, and answer clients.

`state.py` is the pure core: bytes and the time in, frames to send out. `job.py` is the shell, and
`client/` what programs ask with.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from source_jobs.client import connect
    from source_jobs.job import SourceJob
    from source_jobs.sources.source_job import JobSource

_LAZY = {
    "SourceJob": "source_jobs.job",
    "JobSource": "source_jobs.sources.source_job",
    "connect": "source_jobs.client",
}

__all__ = ["JobSource", "SourceJob", "connect"]


def __getattr__(name: str) -> object:
    """Import a name when it is first used: the core needs no socket."""
    if name not in _LAZY:
        raise AttributeError(f"module 'source_jobs' has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value
