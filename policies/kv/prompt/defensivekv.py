"""The keys that not one of the last queries needs are thrown away: DefensiveKV, which prepares for the worst of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....traces.errors import UsageError
from ..context import Layer, Prompt
from ..cut import top
from ..needs import Needs
from ..pooling import pool, reduce_heads
from ..prompt_scorer import PromptScorer
from ..registry import kv_policy
from ..shares import pooled

__all__ = ["DefensiveKV"]

Floats = npt.NDArray[np.floating]


@kv_policy(
    title="DefensiveKV",
    year=2025,
    source="https://arxiv.org/abs/2510.13334",
    scorer="largest attention of any of the last queries, times the share of the head's projected values",
    window="32",
    pooling="avg 5 of each row, its mass restored",
    gqa="max",
    budget="one ranking over the heads of a layer",
    prompt_only=True,
)
@dataclass(frozen=True)
class DefensiveKV(PromptScorer):
    """Keeps what any query of the window needed badly, where a mean would let a single need drown.

    A key's risk is the largest attention of any query of its group, and at least the mean risk of the head. It is weighed
    by the size of its projected value against that of the other heads. First of all come the keys that together hold 90 %
    of the mean attention. Source: https://github.com/FFY0/DefensiveKV 9251b95, ``efficient_defensivekv_press.py``. There
    the window has the largest score of the layer, and may leave in a tie; here it always stays.

    Attributes
    ----------
    window, kernel : int
    pooling : {"avg", "max"}
    gqa : {"max", "mean", "none"}
    mass : float
        Share of the attention that the first keys hold.
    bias : {"code", "window"}
        What is subtracted from `mass`: attention on the `window` keys *before* the window (the code cuts the window's
        columns off before it sums up the last ones), or on the window itself (what it says it does).
    """

    window: int = 32
    kernel: int = 5
    pooling: str = "avg"
    gqa: str = "max"
    mass: float = 0.9
    bias: str = "code"

    def __post_init__(self) -> None:
        if self.bias not in ("code", "window"):
            raise UsageError(f"bias={self.bias!r} is neither code nor window")

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(window=self.window, values=True, projection=True)

    @property
    def forced(self) -> int:
        """The window."""
        return self.window

    def score(self, layer: Layer) -> Floats:
        """Return the risk of each key."""
        window = min(self.window, layer.n)
        before = layer.n - window
        weights = layer.weights(window)
        rows = weights[:, :, :before]
        scores = np.zeros((layer.setting.rows(self.gqa), layer.n), weights.dtype)
        if not before:
            return scores
        smooth = pool(rows, self.kernel, self.pooling)
        total = smooth.sum(-1, keepdims=True)
        smooth = smooth * (rows.sum(-1, keepdims=True) / np.where(total > 0, total, 1))
        risk = reduce_heads(smooth.max(1), layer.kv_heads, self.gqa)
        risk = np.maximum(risk, risk.mean(1, keepdims=True))
        plain = "none" if self.gqa == "none" else "mean"
        norms = reduce_heads(layer.projected_norms[:, :before], layer.kv_heads, plain)
        all_heads = norms.sum(0)
        risk = risk * (norms / np.where(all_heads > 0, all_heads, 1))

        seen = rows[:, :, -window:] if self.bias == "code" else weights[:, :, before:]
        limit = self.mass - float(seen.sum(-1).mean())
        most = max(layer.setting.budget - window, 0)
        mean = reduce_heads(rows.mean(1), layer.kv_heads, plain)
        first = np.minimum(_reaching(mean, limit), most)
        scores[:, :before] = np.where(top(mean, first), risk.max(), risk)
        return scores

    def share(self, prompt: Prompt, scores: list[Floats]) -> list[npt.NDArray[np.int64]]:
        """Return slots by one ranking over each layer's heads."""
        return pooled(prompt, scores, "layer", self.forced)


def _reaching(mean: Floats, limit: float) -> npt.NDArray[np.int64]:
    """How many of each head's largest shares stay below the limit together: int64[heads]."""
    total = mean.sum(1, keepdims=True)
    shares = -np.sort(-mean, axis=1) / np.where(total > 0, total, 1)
    reached = np.cumsum(shares, axis=1) >= limit
    return np.asarray(np.argmax(reached, axis=1), np.int64)
