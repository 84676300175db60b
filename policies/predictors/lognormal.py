"""Noise on times: something log-normal is added to when the object is due.

Added, not multiplied, as in the experiments it is known from: predictions come too late, by ``exp(sigma Z)`` requests.

Source: Lykouris, Vassilvitskii, "Competitive caching with machine learned advice", ICML 2018; Antoniadis et al.,
"Online metric algorithms with untrusted predictions", ICML 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...traces.errors import UsageError
from .base import Noise, predictor

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["Lognormal"]


@predictor(title="Log-normal", year=2018, source="https://proceedings.mlr.press/v80/lykouris18a.html", random=True)
@dataclass(frozen=True)
class Lognormal(Noise):
    """Times plus log-normal noise; alone: the truth, disturbed.

    Parameters
    ----------
    sigma : float
        Standard deviation of the logarithm; 0 adds nothing.
    """

    kinds: ClassVar[tuple[str, ...]] = ("next_use",)

    sigma: float = 10.0

    def __post_init__(self) -> None:
        if not (0 <= self.sigma < np.inf):
            raise UsageError(f"lognormal: sigma={self.sigma:g} must be 0 or more")

    def disturb(self, kind: str, values: Any, trace: RequestTrace, rng: np.random.Generator) -> Any:
        """Add the noise."""
        if self.sigma == 0:
            return values
        with np.errstate(over="ignore"):  # beyond the largest number: for ever
            return values + rng.lognormal(0.0, self.sigma, len(values))
