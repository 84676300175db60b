"""Keys that repeat others, and that the last queries do not look at, are thrown away, every so many steps: R-KV.

Cai et al., "R-KV: redundancy-aware KV cache compression for reasoning models" (https://arxiv.org/abs/2505.24133); code:
Zefan-Cai/R-KV d15c976. Score: ``mix * attention - (1 - mix) * redundancy``.

- Attention: logits of the last queries, maximum over the heads that share the KV head *before* the softmax, which runs
  over the keys before the window only; mean over the queries, maximum over neighbours.
- Redundancy: mean cosine of a key with all others, softmax over keys. In each row of the matrix of cosines the newest key
  above `threshold` is set to 0, so that of several copies the newest is not blamed by the others. Of just two copies each is
  the other's newest: neither is blamed. As in the authors' code, a row without any copy sets the cosine to the oldest
  key to 0, which favours it.

That code gathers what it keeps by score, so that "newest" and "neighbours" mean another order from its second eviction on;
here the order is that of the text. Its second trigger, at line breaks or while the model is thinking, is not offered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....traces.errors import UsageError
from ..context import Layer, Step
from ..needs import Needs
from ..pooling import pool
from ..registry import kv_policy
from ..setting import Setting
from ..step_scorer import ScoredSession, StepScorer

__all__ = ["RKV", "rkv_scores"]

Floats = npt.NDArray[np.floating]


@kv_policy(
    title="R-KV",
    year=2025,
    source="https://arxiv.org/abs/2505.24133",
    scorer="attention of the last queries, less cosine to other keys",
    window="8",
    pooling="max 7",
    gqa="max of logits",
)
@dataclass(frozen=True)
class RKV(StepScorer):
    """Keeps what is looked at and is not said twice.

    Attributes
    ----------
    mix : float
        Weight of attention against redundancy.
    window : int
        Last queries that are asked; their own keys stay.
    kernel : int
        Neighbours of which the largest attention counts.
    threshold : float
        Cosine above which two keys are copies.
    interval : int
        Steps between evictions.
    """

    mix: float = 0.07
    window: int = 8
    kernel: int = 7
    threshold: float = 0.5
    interval: int = 128

    def __post_init__(self) -> None:
        if min(self.window, self.interval) < 1 or not 0 <= self.mix <= 1:
            raise UsageError(
                f"rkv: window={self.window} and interval={self.interval} must be at least 1, mix={self.mix} from 0 to 1"
            )

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(queries=self.window, keys=True)

    @property
    def forced(self) -> int:
        """The window."""
        return self.window

    @property
    def slack(self) -> int:
        """What comes between two evictions."""
        return self.interval - 1

    def session(self, setting: Setting) -> ScoredSession:
        """Return a session."""
        return _Redundancy(self, setting, every=self.interval)


class _Redundancy(ScoredSession):
    policy: RKV

    def prompt_scores(self, layer: Layer) -> Floats:
        queries = layer.queries(min(self.policy.window, layer.n))
        grouped = queries.reshape(layer.kv_heads, -1, *queries.shape[1:])
        return np.stack(
            [rkv_scores(*of, self.setting.scale, self.policy) for of in zip(grouped, layer.keys, strict=True)]
        )

    def scores(self, step: Step) -> Floats:
        queries, keys = step.queries(self.policy.window), step.keys
        scores = np.zeros(step.ids.shape, keys.dtype)
        for row, count in enumerate(step.count):
            scores[row, :count] = rkv_scores(queries[row], keys[row, :count], self.setting.scale, self.policy)
        return scores


def rkv_scores(queries: Floats, keys: Floats, scale: float, policy: RKV) -> Floats:
    """Score the keys of one KV head.

    Parameters
    ----------
    queries : float[group, window, head_dim]
        The last ones; their keys are the last ones, too.
    keys : float[n, head_dim]
    scale : float
    policy : RKV

    Returns
    -------
    float[n]
        0 in the window itself.
    """
    n = len(keys)
    before = n - queries.shape[1]
    scores = np.zeros(n, keys.dtype)
    if before < 1:
        return scores
    attention = _softmax((queries @ keys[:before].T).max(0) * keys.dtype.type(scale)).mean(0)
    unit = keys / (np.sqrt((keys * keys).sum(1, keepdims=True)) + keys.dtype.type(1e-8))
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, 0)
    newest = np.where(cosine > policy.threshold, np.arange(n), 0).max(1)
    cosine[np.arange(n), newest] = 0
    redundancy = _softmax(cosine.mean(0))[:before]
    scores[:before] = policy.mix * pool(attention, policy.kernel, "max") - (1 - policy.mix) * redundancy
    return scores


def _softmax(logits: Floats) -> Floats:
    grown = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(grown / grown.sum(-1, keepdims=True))
