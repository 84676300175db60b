"""The oldest slot is thrown away: a sliding window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..context import Layer, Step
from ..registry import kv_policy
from ..setting import Setting
from ..step_scorer import ScoredSession, StepScorer

__all__ = ["Window"]


@kv_policy(title="Sliding window", year=2020, source="https://arxiv.org/abs/2004.05150", scorer="position")
@dataclass(frozen=True)
class Window(StepScorer):
    """Keeps the newest tokens."""

    def session(self, setting: Setting) -> ScoredSession:
        """Return a session."""
        return _ByAge(self, setting)


class _ByAge(ScoredSession):
    def prompt_scores(self, layer: Layer) -> npt.NDArray[np.floating]:
        rows = layer.streams.stop - layer.streams.start
        return np.broadcast_to(np.arange(layer.n, dtype=np.float32), (rows, layer.n))

    def scores(self, step: Step) -> npt.NDArray[np.floating]:
        return step.ids.astype(np.float32)
