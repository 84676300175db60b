"""PLECO: an object is due after the reciprocal of its probability, estimated from its requests with fading weights.

A request i steps ago (the present one: 1) weighs ``(i + 10)^-1.8 exp(-i / 670)``. The probability of an object is the
weight of its own requests in that of all; it is due as many requests from now as the reciprocal says.
Requests more than 25,000 steps ago weigh nothing that a float64 would notice, and are left out: time grows with the
length of the trace, not with its square.

As times its predictions are short: the present request alone gives an object so much weight that none is due later than 12
requests from now. Policies that go by the order do not mind; bits that are made from these times say keep.

Source: Anderson, Kumar, Tomkins, Vassilvitskii, "The dynamics of repeat consumption", WWW 2014 (the power law with
exponential cut-off); constants as in Lykouris, Vassilvitskii, ICML 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...traces.jit import kernel
from .base import Source, predictor

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["Pleco"]

LONG_AGO = 25_000


@kernel()
def _predict(prev_use: Any, weights: Any, totals: Any, due: Any) -> None:
    """`weights[i]` is that of i steps ago, `totals[i]` the sum up to there."""
    longest = len(weights) - 1
    for now in range(len(prev_use)):
        own = 0.0
        at = np.int64(now)
        while at >= 0 and now - at < longest:
            own += weights[now - at + 1]
            at = np.int64(prev_use[at])
        due[now] = now - 1 + totals[min(now + 1, longest)] / own


@predictor(title="PLECO", year=2014, source="https://doi.org/10.1145/2566486.2568018")
@dataclass(frozen=True)
class Pleco(Source):
    """By fading popularity: power law with exponential cut-off."""

    def forecast(self, kind: str, trace: RequestTrace, capacity: int) -> Any:
        """Weigh each object's requests so far."""
        ago = np.arange(1, min(len(trace), LONG_AGO) + 1)
        weights = np.concatenate([[0.0], (ago + 10.0) ** -1.8 * np.exp(-ago / 670.0)])
        due = np.empty(len(trace))
        _predict(trace.prev_use, weights, np.cumsum(weights), due)
        return due
