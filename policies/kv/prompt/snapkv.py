"""The keys of the prompt that its last queries attend to least, smoothed over neighbours, are thrown away: SnapKV."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..context import Layer, Prompt
from ..needs import Needs
from ..pooling import pool, reduce_heads
from ..prompt_scorer import PromptScorer
from ..registry import kv_policy
from ..shares import pooled

__all__ = ["SnapKV", "window_scores"]


@kv_policy(
    title="SnapKV",
    year=2024,
    source="https://arxiv.org/abs/2404.14469",
    scorer="attention of the last queries",
    window="32",
    pooling="avg 5 (LongBench settings of the authors: max 7)",
    gqa="mean after pooling, as kvpress (none: the authors' code)",
    prompt_only=True,
)
@dataclass(frozen=True)
class SnapKV(PromptScorer):
    """Keeps the window and what it attends to.

    Source: https://github.com/FasterDecoding/SnapKV e216ddc, ``snapkv_utils.py``. It adds up the window's rows where kvpress
    and this take their mean, which ranks alike, and it keeps a set for each query head (``gqa=none``).

    Attributes
    ----------
    window : int
        Last queries that are asked; their own keys always stay.
    kernel : int
        Neighbours that are pooled.
    pooling : {"avg", "max"}
    gqa : {"mean", "max", "none"}
    pool : {"head", "layer", "global"}
        Who shares the budget.
    """

    window: int = 32
    kernel: int = 5
    pooling: str = "avg"
    gqa: str = "mean"
    pool: str = "head"

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(window=self.window)

    @property
    def forced(self) -> int:
        """The window."""
        return self.window

    @property
    def whole_prompt(self) -> bool:
        """Where all layers share, everything is resident until the last one is scored."""
        return self.pool == "global"

    def score(self, layer: Layer) -> npt.NDArray[np.floating]:
        """Return the pooled attention of the window."""
        return reduce_heads(window_scores(layer, self.window, self.kernel, self.pooling), layer.kv_heads, self.gqa)

    def share(self, prompt: Prompt, scores: list[npt.NDArray[np.floating]]) -> list[npt.NDArray[np.int64]]:
        """Return slots by one ranking of those who share."""
        return pooled(prompt, scores, self.pool, self.forced)


def window_scores(layer: Layer, window: int, kernel: int, pooling: str) -> npt.NDArray[np.floating]:
    """Mean attention of the last queries to each key before them, pooled: float[heads, n]; 0 in the window itself."""
    window = min(window, layer.n)
    before = layer.n - window
    weights = layer.weights(window)
    scores = np.zeros((layer.heads, layer.n), weights.dtype)
    scores[:, :before] = pool(weights[:, :, :before].mean(1), kernel, pooling)
    return scores
