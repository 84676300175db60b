"""LRU as a predictor: who was requested last is due first.

The t-th request predicts ``-t``: no time that could come true, but the order that LRU goes by. Policies that follow the
order only (blind_oracle) become LRU; how wrong the times are says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .base import Source, predictor

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["LruOrder"]


@predictor(title="LRU order", year=2020, source="https://proceedings.mlr.press/v119/antoniadis20a.html")
@dataclass(frozen=True)
class LruOrder(Source):
    """The order of the last requests, given as times."""

    def forecast(self, kind: str, trace: RequestTrace, capacity: int) -> Any:
        """Count down."""
        return -1.0 - np.arange(len(trace))
