"""The keys of largest norm are thrown away: they are the ones that get little attention."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..context import Layer
from ..needs import Needs
from ..prompt_scorer import PromptScorer
from ..registry import kv_policy

__all__ = ["Knorm"]


@kv_policy(
    title="Key norm",
    year=2024,
    source="https://arxiv.org/abs/2406.11430",
    scorer="minus the L2 norm of the key",
    prompt_only=True,
)
@dataclass(frozen=True)
class Knorm(PromptScorer):
    """Keeps keys of small norm, without a look at any query.

    Norms are computed with at least 32 bits. In kvpress before 0.5.5 they were not, and most of what bfloat16 caches kept
    was decided by ties.
    """

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(keys=True)

    def score(self, layer: Layer) -> npt.NDArray[np.floating]:
        """Return the smallness of each key."""
        return np.asarray(-np.linalg.norm(layer.keys, axis=-1))
