"""Last gap: an object is due after as long as it took from its last request to this one.

The first request of an object predicts nothing; it counts as due ``10^4 n`` requests from now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .base import Source, predictor
from .truth import FAR

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["LastGap"]


@predictor(title="Last gap", year=2020, source="https://proceedings.mlr.press/v119/antoniadis20a.html")
@dataclass(frozen=True)
class LastGap(Source):
    """The next gap is like the last one."""

    def forecast(self, kind: str, trace: RequestTrace, capacity: int) -> Any:
        """Look back once."""
        now = np.arange(len(trace), dtype=np.float64)
        return np.where(trace.prev_use < 0, FAR * len(trace), 2 * now - trace.prev_use)
