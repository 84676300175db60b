"""Half of the budget goes to the keys most attended to; of the others, those of little output are thrown away: CriticalKV."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..context import Layer, Prompt
from ..cut import top
from ..needs import Needs
from ..pooling import reduce_heads
from ..prompt_scorer import PromptScorer
from ..registry import kv_policy
from ..shares import uniform
from .adakv import safe_slots, safeguarded
from .snapkv import window_scores

__all__ = ["CriticalKV", "two_stages"]

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]


@kv_policy(
    title="CriticalKV",
    year=2025,
    source="https://arxiv.org/abs/2502.03805",
    scorer="attention of the last queries, then times the L1 norm of the projected value",
    window="32",
    pooling="avg 5",
    gqa="mean after pooling",
    budget="uniform (ada: one ranking over the heads of a layer)",
    prompt_only=True,
)
@dataclass(frozen=True)
class CriticalKV(PromptScorer):
    """Bounds how far the output can move: by attention first, by attention times the size of what it fetches then.

    Source: kvpress 0.5.5, ``criticalkv_press.py`` (the authors' own fork, FFY0/DefensiveKV 9251b95, has the same formulas).
    The window counts among what the first stage takes, as there; unlike there it can never leave in the second.

    Attributes
    ----------
    window, kernel, pooling, gqa
        Of the first stage, see `evictlab.policies.kv.prompt.snapkv.SnapKV`.
    first : float
        Share of the budget that the first stage gives out.
    epsilon : float
        Added to the attention in the second stage, so that a large value counts also where nobody looked.
    ada : bool
        Share out among heads first, as kvpress's Ada-KV with floor `alpha`.
    alpha : float
    """

    window: int = 32
    kernel: int = 5
    pooling: str = "avg"
    gqa: str = "mean"
    first: float = 0.5
    epsilon: float = 1e-4
    ada: bool = False
    alpha: float = 0.2

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(window=self.window, values=True, projection=True)

    @property
    def forced(self) -> int:
        """The window."""
        return self.window

    def score(self, layer: Layer) -> Floats:
        """Return the score of the first stage."""
        return reduce_heads(window_scores(layer, self.window, self.kernel, self.pooling), layer.kv_heads, self.gqa)

    def share(self, prompt: Prompt, scores: list[Floats]) -> list[Ints]:
        """Return slots by the first stage's score."""
        budget = prompt.setting.budget
        if not self.ada or budget >= prompt.n:
            return uniform(prompt, scores)
        held = prompt.held(self.forced)
        return [safeguarded(of_layer[:, ~held], budget, int(held.sum()), self.alpha) for of_layer in scores]

    def rank(
        self, layer: Layer, scores: Floats, counts: npt.NDArray[np.integer], held: npt.NDArray[np.bool_]
    ) -> Floats:
        """Return the scores of both stages: what the second one ranks depends on how many slots a head was given."""
        norms = reduce_heads(layer.projected_norms, layer.kv_heads, "none" if self.gqa == "none" else "mean")
        taken = np.maximum((counts * self.first).astype(np.int64), 1 if self.first > 0 else 0)
        if self.ada:
            taken = np.maximum(taken, safe_slots(layer.setting.budget, self.alpha))
        return two_stages(scores, norms, taken, held, self.epsilon)


def two_stages(scores: Floats, norms: Floats, taken: Ints, held: npt.NDArray[np.bool_], epsilon: float) -> Floats:
    """Infinite for the keys of highest score, and ``(score + epsilon) * norm`` for the others.

    Parameters
    ----------
    scores, norms : float[heads, keys]
    taken : int64[heads]
        Keys that the first stage takes; those that are held anyway are the first of them.
    held : bool[heads, keys]
    epsilon : float
    """
    first = top(np.where(held, np.inf, scores), np.minimum(taken, scores.shape[1]))
    return np.where(first | held, np.inf, (scores + scores.dtype.type(epsilon)) * norms)
