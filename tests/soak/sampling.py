"""What a process holds, as Linux says, and whether that grows: arithmetic, and reads of /proc."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_KIB = 1024
_MOST_PAIRS = 2_000
"""So many samples go into a slope; of more every n-th does."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A process at one moment; memory is what is resident and its own, in KiB."""

    at_s: float
    memory_kib: float
    descriptors: int
    threads: int


@dataclass(slots=True)
class History:
    """The samples of one process."""

    name: str
    pid: int
    samples: list[Sample] = field(default_factory=list)

    def sample(self, at_s: float) -> None:
        """Look at the process; nothing is noted of one that has ended."""
        with contextlib.suppress(OSError, KeyError):
            self.samples.append(look(self.pid, at_s))

    def after(self, warm_s: float) -> list[Sample]:
        """The samples after the warm-up."""
        return [sample for sample in self.samples if sample.at_s >= warm_s]


def look(pid: int, at_s: float) -> Sample:
    """Sample a process. Raises OSError or KeyError if there is none."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    status = dict(line.split(":", 1) for line in lines if ":" in line)
    memory = int(status["RssAnon"].split()[0])
    descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return Sample(at_s, memory, descriptors, int(status["Threads"]))


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """The Theil-Sen slope: the median of the slopes between all pairs of samples.

    A third of the samples may be anything, and it does not move.

    >>> slope([0, 1, 2, 3, 4], [1, 3, 900, 7, 9])
    2.0
    """
    step = -(-len(times) // _MOST_PAIRS)
    at, value = np.array(times[::step], float), np.array(values[::step], float)
    first, second = np.triu_indices(len(at), 1)
    apart = at[second] - at[first]
    if not len(apart):
        return 0.0
    rises = (value[second] - value[first])[apart > 0] / apart[apart > 0]
    return float(np.median(rises))


def memory_slope(samples: Sequence[Sample]) -> float:
    """By how many KiB a minute a process grows."""
    return slope([s.at_s / 60 for s in samples], [s.memory_kib for s in samples])
