"""`anomaly`: marks the rows whose value is out of line with those before it in its group.

A recurrence, so it goes value by value; the values are those of answers, not of events.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from mql.columnar.arrays import booleans, doubles
from mql.columnar.kinds import kinds_of
from mql.columnar.read import doubles_of
from mql.errors import RunError
from mql.exec.aggregates.group_keys import hashable_keys, key_characters
from mql.exec.expressions.frame import Frame
from mql.exec.limits import Limits
from mql.exec.operator import Block, PerBlock, with_columns
from mql.language.format import format_property
from mql.language.syntax import Property
from mql.planner.logical import Anomaly
from mql.values.kind import Kind

_DETECTOR_BYTES = 400


class Detector(Protocol):
    """The state of one group: takes a value, gives (anomalous, expected, score)."""

    def judge(self, value: float) -> tuple[bool, float | None, float | None]:
        """Judge a value and learn from it."""


@dataclass(slots=True)
class RunningMedian:
    """`mad`: a median that moves by alpha towards each value; over beta times it is anomalous."""

    alpha: float
    beta: float
    median: float | None = None

    def judge(self, value: float) -> tuple[bool, float | None, float | None]:
        """Judge a value and learn from it."""
        if self.median is None:
            self.median = value
        else:
            self.median += self.alpha if self.median < value else -self.alpha
        return self.beta * self.median < value, None, None


@dataclass(slots=True)
class DoubleSmoothing:
    """`des`: level and trend (Holt 1957) forecast one step; a large error is anomalous.

    The score is the error over the smoothed absolute error of the steps before. The first two
    values set level, trend and nothing else.
    """

    alpha: float
    beta: float
    threshold: float
    level: float | None = None
    trend: float | None = None
    error: float | None = None

    def judge(self, value: float) -> tuple[bool, float | None, float | None]:
        """Judge a value and learn from it."""
        if self.level is None:
            self.level = value
            return False, None, None
        if self.trend is None:
            self.trend, self.level = value - self.level, value
            return False, None, None
        expected = self.level + self.trend
        error = abs(value - expected)
        score = None if self.error is None else error / self.error if self.error else None
        anomalous = self.error is not None and error > self.threshold * self.error
        level = self.alpha * value + (1 - self.alpha) * expected
        self.trend = self.beta * (level - self.level) + (1 - self.beta) * self.trend
        self.level = level
        before = error if self.error is None else self.error
        self.error = self.alpha * error + (1 - self.alpha) * before
        return anomalous, expected, score


class AnomalyOperator(PerBlock):
    """Adds `anomalous` (and what the method adds) to each row."""

    def __init__(self, step: Anomaly, limits: Limits, now_ms: Callable[[], int]) -> None:
        self._step = step
        self._limits = limits
        self._now_ms = now_ms
        self._detectors: dict[tuple[Hashable, ...], Detector] = {}
        self._characters = 0

    @property
    def held_bytes(self) -> int:  # type: ignore[override]
        """About how much memory the states of groups take."""
        return self._characters + _DETECTOR_BYTES * len(self._detectors)

    def apply(self, block: Block) -> Block:
        """The block with the new columns."""
        frame = Frame(block.batch, self._now_ms())
        subject = frame.evaluate(self._step.subject)
        numeric = (kinds_of(subject) == Kind.INT) | (kinds_of(subject) == Kind.DOUBLE)
        keys = [hashable_keys(frame.property(p)) for p in self._step.group]
        judged = [
            self._detector(tuple(part[i] for part in keys)).judge(value)
            if number
            else (False, None, None)
            for i, (value, number) in enumerate(
                zip(doubles_of(subject).tolist(), numeric.tolist(), strict=True)
            )
        ]
        columns = {"anomalous": booleans([j[0] for j in judged])}
        if self._step.method == "des":
            columns["expected"] = _finite([j[1] for j in judged])
            columns["score"] = _finite([j[2] for j in judged])
        named = {format_property(Property((name,))): column for name, column in columns.items()}
        return block.with_batch(with_columns(block.batch, named))

    def _detector(self, group: tuple[Hashable, ...]) -> Detector:
        detector = self._detectors.get(group)
        if detector is None:
            if len(self._detectors) >= self._limits.groups:
                reason = f"more than {self._limits.groups:,} groups keep a state"
                raise RunError("anomaly", reason)
            detector = self._detectors[group] = self._make()
            self._characters += key_characters([group])
        return detector

    def _make(self) -> Detector:
        alpha, beta, *rest = self._step.parameters
        if self._step.method == "mad":
            return RunningMedian(alpha, beta)
        return DoubleSmoothing(alpha, beta, rest[0] if rest else 3.0)


def _finite(values: list[float | None]) -> pa.Array:
    return doubles([v if v is not None and np.isfinite(v) else None for v in values])
