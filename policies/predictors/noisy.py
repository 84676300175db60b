"""Noise that makes each prediction wrong with the same probability, one independently of the other.

A bit is flipped. A time becomes that of another request: now plus the true gap of a request drawn from the whole trace,
so that wrong times look like right ones.

Source: bit flips as in the noise experiments on phase and discard bits; the times are evictlab's own analogue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...traces.errors import UsageError
from .base import BITS, Noise, predictor

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["Noisy"]

_FLIPPED = {"both": (0, 1), "1to0": (1,), "0to1": (0,)}


@predictor(title="Flips", year=2023, source="https://proceedings.mlr.press/v202/antoniadis23a.html", random=True)
@dataclass(frozen=True)
class Noisy(Noise):
    """Each prediction is wrong with a probability; alone: the truth, disturbed.

    Parameters
    ----------
    p : float
        Probability, 0 to 1.
    flips : str
        Which bits may flip: both, 1to0 (what may go seems worth keeping), 0to1. Without meaning for times.
    """

    p: float = 0.05
    flips: str = "both"

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise UsageError(f"noisy: p={self.p:g} is no probability; give 0 to 1")
        if self.flips not in _FLIPPED:
            raise UsageError(f"noisy: flips={self.flips!r} is none of {', '.join(_FLIPPED)}")

    def disturb(self, kind: str, values: Any, trace: RequestTrace, rng: np.random.Generator) -> Any:
        """Flip bits, or exchange times."""
        n = len(values)
        wrong = rng.random(n) < self.p
        if kind in BITS:
            return values ^ (wrong & np.isin(values, _FLIPPED[self.flips]))
        gaps = np.where(trace.next_use >= n, np.inf, trace.next_use - np.arange(n))
        where = np.flatnonzero(wrong)
        values = values.copy()
        values[where] = where + gaps[rng.integers(0, n, len(where))]
        return values
