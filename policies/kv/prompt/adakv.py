"""The keys that the last queries attend to least are thrown away, fewer of them where a head looks at many: Ada-KV."""

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
from ..shares import uniform
from .pyramidkv import VARIANTS, ramp
from .snapkv import window_scores

__all__ = ["AdaKV", "moderated", "safe_slots", "safeguarded"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]


@kv_policy(
    title="Ada-KV",
    year=2024,
    source="https://arxiv.org/abs/2407.11550",
    scorer="attention of the last queries",
    window="32",
    pooling="max 7",
    gqa="mean before pooling (kvpress: after it; none: the authors' first code)",
    budget="one ranking over the heads of a layer, each with a floor",
    prompt_only=True,
)
@dataclass(frozen=True)
class AdaKV(PromptScorer):
    """Keeps what the window attends to, in whichever head of the layer that is.

    Source: https://github.com/FFY0/AdaKV efe4e2e, ``snapkv_utils.py``. There the heads' slots are rounded one by one and
    may exceed the layer's budget by a few; here the largest head gives them back.

    Attributes
    ----------
    window, kernel : int
    pooling : {"avg", "max"}
    gqa : {"mean", "max", "none"}
    alpha : float
        Share of the budget that every head gets: the floor.
    normalize : bool
        Weigh a head's scores by how much of its attention its budget would cover.
    pyramid : bool
        Share out among layers by the ramp of PyramidKV first (``ada-pyramid``), with its `beta`.
    beta : int
    variant : {"official", "kvpress"}
        kvpress keeps the best alpha of each head and fills up by one ranking: a floor that binds where a head would fall
        below it, where the authors mix the ranking's result with the uniform one.
    """

    window: int = 32
    kernel: int = 7
    pooling: str = "max"
    gqa: str = "mean"
    alpha: float = 0.2
    normalize: bool = False
    pyramid: bool = False
    beta: int = 20
    variant: str = "official"

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise UsageError(f"alpha={self.alpha} is a share of the budget: between 0 and 1")
        if self.variant not in VARIANTS:
            raise UsageError(f"variant={self.variant!r} is none of {', '.join(VARIANTS)}")

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(window=self.window)

    @property
    def forced(self) -> int:
        """The window."""
        return self.window

    def score(self, layer: Layer) -> Floats:
        """Return the attention of the window, pooled after reducing to heads that own slots (kvpress: before it)."""
        if self.variant == "kvpress":
            pooled = window_scores(layer, self.window, self.kernel, self.pooling)
            return reduce_heads(pooled, layer.kv_heads, self.gqa)
        scores = reduce_heads(window_scores(layer, self.window, 1, self.pooling), layer.kv_heads, self.gqa)
        before = layer.n - min(self.window, layer.n)
        scores[:, :before] = pool(scores[:, :before], self.kernel, self.pooling)
        return scores

    def share(self, prompt: Prompt, scores: list[Floats]) -> list[Ints]:
        """Return slots of each head by its layer's ranking."""
        budget = prompt.setting.budget
        if budget >= prompt.n:
            return uniform(prompt, scores)
        held = prompt.held(self.forced)
        own, free = int(held.sum()), np.flatnonzero(~held)
        slots = np.full(len(scores), budget)
        if self.pyramid:
            slots = ramp(budget, own, prompt.n, len(scores), self.beta)
        counts = []
        for of_layer, each in zip(scores, slots.tolist(), strict=True):
            if self.variant == "kvpress":
                counts.append(safeguarded(of_layer[:, free], each, own, self.alpha))
            else:
                counts.append(moderated(of_layer[:, free], each - own, self.alpha, self.normalize) + own)
        return counts


def moderated(scores: Floats, each: int, alpha: float, normalize: bool = False) -> Ints:
    """Slots by one ranking over all heads, mixed with the same for all.

    Parameters
    ----------
    scores : float[heads, keys]
    each : int
        Slots on average.
    alpha : float
        Share of them that is the same for all.
    normalize : bool
        See `AdaKV`.

    Returns
    -------
    int64[heads]
    """
    heads, keys = scores.shape
    if normalize:
        best = -np.sort(-scores, axis=1)
        total = best.sum(1)
        scores = scores * (best[:, :each].sum(1) / np.where(total > 0, total, 1))[:, None]
    ranked = top(scores.reshape(1, -1), min(heads * each, scores.size)).reshape(heads, keys).sum(1)
    counts: Ints = np.rint(ranked * (1 - alpha) + int(each * alpha)).astype(np.int64)
    while counts.sum() > heads * each:
        counts[counts.argmax()] -= 1
    return counts


def safeguarded(scores: Floats, each: int, own: int, alpha: float) -> Ints:
    """Slots by one ranking over all heads, in which the best keys of each head come first.

    Parameters
    ----------
    scores : float[heads, keys]
        Of the keys that may leave.
    each : int
        Slots on average, with those that stay anyway.
    own : int
        Slots of each head that stay anyway; the safe ones are counted from them on.
    alpha : float
        Share of `each` that is safe.

    Returns
    -------
    int64[heads]
        With those that stay anyway.
    """
    safe = min(max(safe_slots(each, alpha) - own, 0), scores.shape[1])
    ranked = np.where(top(scores, safe), np.inf, scores)
    kept = top(ranked.reshape(1, -1), min(len(scores) * (each - own), scores.size))
    return np.asarray(kept.reshape(scores.shape).sum(1) + own, np.int64)


def safe_slots(each: int, alpha: float) -> int:
    """Slots that no head goes below: at least one where there is a floor at all."""
    return max(int(each * alpha), 1) if alpha > 0 else 0
