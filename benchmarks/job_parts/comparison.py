"""Numbers from paired runs: ratios with their spread, and the exponent of growth. Pure arithmetic."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Spread:
    """Minimum, median and maximum of some runs."""

    low: float
    median: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{_digits(self.median)} [{_digits(self.low)}-{_digits(self.high)}]"


def spread(values: Sequence[float]) -> Spread:
    """The spread of at least one value."""
    return Spread(min(values), statistics.median(values), max(values), len(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """The spread of ours / theirs, pair by pair: both of a pair ran one after the other, so they met the same noise."""
    return spread([mine / other for mine, other in zip(ours, theirs, strict=True)])


def growth_exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of a least-squares line through log(value) over log(size): 0 is flat, 1 is linear."""
    xs, ys = [math.log(size) for size in sizes], [math.log(value) for value in values]
    return statistics.linear_regression(xs, ys).slope


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
