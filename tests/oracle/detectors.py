"""Anomaly detectors, one for each group."""

from __future__ import annotations

from typing import ClassVar

from mql.language.syntax import AnomalyClause
from tests.oracle.cases import Row
from tests.oracle.values import fit


def new_detector(clause: AnomalyClause) -> Mad | Des:
    return Mad(*clause.parameters) if clause.method == "mad" else Des(*clause.parameters)


class Mad:
    """A running median that moves by alpha."""

    unknown: ClassVar[Row] = {"anomalous": False}

    def __init__(self, alpha: float, beta: float) -> None:
        self.alpha, self.beta = alpha, beta
        self.median: float | None = None

    def judge(self, value: float) -> Row:
        if self.median is None:
            self.median = value
        else:
            self.median += self.alpha if self.median < value else -self.alpha
        return {"anomalous": self.beta * self.median < value}


class Des:
    """A forecast by level and trend, and the usual size of its error."""

    unknown: ClassVar[Row] = {"anomalous": False, "expected": None, "score": None}

    def __init__(self, alpha: float, beta: float, threshold: float = 3.0) -> None:
        self.alpha, self.beta, self.threshold = alpha, beta, threshold
        self.level: float | None = None
        self.trend: float | None = None
        self.usual: float | None = None

    def judge(self, value: float) -> Row:
        if self.level is None:
            self.level = value
            return self.unknown
        if self.trend is None:
            self.trend, self.level = value - self.level, value
            return self.unknown
        expected = self.level + self.trend
        error = abs(value - expected)
        level = self.alpha * value + (1 - self.alpha) * expected
        self.trend = self.beta * (level - self.level) + (1 - self.beta) * self.trend
        self.level = level
        usual, self.usual = self.usual, error
        if usual is None:
            return {"anomalous": False, "expected": fit(expected), "score": None}
        self.usual = self.alpha * error + (1 - self.alpha) * usual
        score = fit(error / usual) if usual else None
        return {
            "anomalous": error > self.threshold * usual,
            "expected": fit(expected),
            "score": score,
        }
