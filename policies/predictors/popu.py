"""POPU: an object is due after as many requests as there were so far for each of its own.

At the t-th request, counted from 1, of an object requested c times including this one: ``t + t / c``.
Source: the baseline POPU of Antoniadis, Coester, Eliáš, Polák, Simon, "Online metric algorithms with untrusted
predictions", ICML 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...traces.jit import kernel
from .base import Source, predictor

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["Popu"]


@kernel()
def _predict(ids: Any, counts: Any, due: Any) -> None:
    for i in range(len(ids)):
        counts[ids[i]] += 1
        due[i] = i + (i + 1) / counts[ids[i]]


@predictor(title="POPU", year=2020, source="https://proceedings.mlr.press/v119/antoniadis20a.html")
@dataclass(frozen=True)
class Popu(Source):
    """By popularity: now plus the mean gap between an object's requests so far."""

    def forecast(self, kind: str, trace: RequestTrace, capacity: int) -> Any:
        """Count, and predict."""
        due = np.empty(len(trace))
        _predict(trace.ids, np.zeros(trace.n_objects, np.int64), due)
        return due
