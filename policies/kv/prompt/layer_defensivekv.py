"""The keys of all layers that not one of the last queries needs are thrown away: Layer-DefensiveKV."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..context import Prompt
from ..registry import kv_policy
from ..shares import pooled
from .defensivekv import DefensiveKV

__all__ = ["LayerDefensiveKV"]


@kv_policy(
    title="Layer-DefensiveKV",
    year=2025,
    source="https://arxiv.org/abs/2510.13334",
    scorer="largest attention of any of the last queries, times the share of the head's projected values",
    window="32",
    pooling="avg 5 of each row, its mass restored",
    gqa="max",
    budget="one ranking over the heads of all layers",
    prompt_only=True,
)
@dataclass(frozen=True)
class LayerDefensiveKV(DefensiveKV):
    """DefensiveKV whose layers compete too.

    Nothing can leave before the last layer is scored, so the whole prompt is resident once. A layer's window always stays;
    in the authors' code (FFY0/DefensiveKV 9251b95, ``efficient_ada_global_scorer_press.py``) a layer whose scores are all
    low can lose it. Parameters are those of `evictlab.policies.kv.prompt.defensivekv.DefensiveKV`.
    """

    @property
    def whole_prompt(self) -> bool:
        """Everything is resident until the last layer is scored."""
        return True

    def share(self, prompt: Prompt, scores: list[npt.NDArray[np.floating]]) -> list[npt.NDArray[np.int64]]:
        """Return slots by one ranking over all layers."""
        return pooled(prompt, scores, "global", self.forced)
