"""Delays: the same every time, or drawn from a lognormal distribution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...traces.errors import UsageError
from ...traces.units import parse_duration

__all__ = ["TICKS", "Delay", "parse_delay", "ticks_of"]

TICKS = 1_000_000_000
"""Ticks of the simulated clock per second: with whole numbers, 10 s and 50 ms add up without a rounding error."""

DRAWS = 4096
"""Random numbers drawn at a time."""


def ticks_of(seconds: float) -> int:
    """Return a duration in ticks."""
    return round(seconds * TICKS)


@dataclass(frozen=True)
class Delay:
    """A duration with or without chance in it.

    Attributes
    ----------
    median_s : float
        Seconds.
    sigma : float
        Standard deviation of the logarithm; 0 = always the median.
    """

    median_s: float
    sigma: float = 0.0

    def drawer(self, seed: int) -> Callable[[], int]:
        """Return a function that draws the next duration, in ticks."""
        if not self.sigma:
            same = ticks_of(self.median_s)
            return lambda: same
        rng, row = np.random.default_rng(seed), [0] * 0

        def draw() -> int:
            if not row:
                drawn = self.median_s * np.exp(self.sigma * rng.standard_normal(DRAWS))
                row.extend(np.rint(drawn[::-1] * TICKS).astype(np.int64).tolist())
            return row.pop()

        return draw


def parse_delay(text: str | float) -> Delay:
    """Read ``50ms`` or ``lognormal:median=50ms:sigma=0.5``; a float is seconds.

    Raises
    ------
    UnitError
        A duration without its unit.
    UsageError
        A part that is missing or cannot be read.
    """
    if not isinstance(text, str):
        if not 0 <= text < np.inf:
            raise UsageError(f"a delay of {text} s is none; it must be at least 0 and finite")
        return Delay(float(text))
    name, *parts = text.strip().split(":")
    if name != "lognormal":
        return Delay(parse_duration(text))
    given = dict(part.partition("=")[::2] for part in parts)
    if set(given) != {"median", "sigma"}:
        raise UsageError(f"{text!r}: a lognormal delay has a median and a sigma, as in lognormal:median=50ms:sigma=0.5")
    try:
        sigma = float(given["sigma"])
    except ValueError:
        sigma = -1.0
    if not 0 <= sigma <= 10:
        raise UsageError(f"{text!r}: sigma must be a number from 0 to 10, as in lognormal:median=50ms:sigma=0.5")
    return Delay(parse_duration(given["median"]), sigma)
