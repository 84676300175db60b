"""The slot that got the least attention in all its life is thrown away, except for recent ones: H2O.

Zhang et al., "H2O: heavy-hitter oracle for efficient generative inference" (https://arxiv.org/abs/2306.14048); code:
FMInference/H2O ac75c2a. At least four policies go by this name:

- `accumulate` = ``"pruned"``: weights over what is left in the cache, as its code does that really drops keys
  (``utils_real_drop``). Here and there the whole prompt attends first, and its column sums are where the sums begin.
- `accumulate` = ``"full"``: weights of the uncompressed cache, as its simulations for accuracy (``utils_lm_eval``). Who has
  dropped keys cannot know them, so this is optimistic.
- `normalise`: sums divided by the number of queries that could see the key: the prompt's column mean of kvpress
  (ObservedAttention), which does not favour old keys; carried on while decoding, which kvpress does not do.
- Sums over the prompt only, with no eviction later (KVCache-Factory), are not offered.

The authors keep a sum for each query head (``gqa=none``); here those that share a KV head share its sum and its slots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....traces.errors import UsageError
from ..context import Layer, Step
from ..needs import Needs
from ..pooling import reduce_heads
from ..registry import kv_policy
from ..setting import Setting
from ..step_scorer import ScoredSession, StepScorer

__all__ = ["H2O"]


@kv_policy(
    title="H2O",
    year=2023,
    source="https://arxiv.org/abs/2306.14048",
    scorer="attention, summed over all queries",
    window="all queries",
    gqa="mean (none: the authors' code)",
)
@dataclass(frozen=True)
class H2O(StepScorer):
    """Keeps heavy hitters and the newest tokens.

    Attributes
    ----------
    recent : float
        Share of the budget that goes to the newest tokens.
    accumulate : {"pruned", "full"}
        Whose weights are added up: the compressed cache's or the uncompressed one's.
    normalise : bool
        Divide by the number of queries that could see the key.
    gqa : {"mean", "sum", "none"}
        ``"sum"`` ranks as ``"mean"`` does, up to rounding.
    """

    recent: float = 0.5
    accumulate: str = "pruned"
    normalise: bool = False
    gqa: str = "mean"

    def __post_init__(self) -> None:
        if self.accumulate not in ("pruned", "full"):
            raise UsageError(f"h2o: accumulate={self.accumulate!r} is neither pruned nor full")
        if self.gqa not in ("mean", "sum", "none"):  # a maximum of sums is no sum of maxima
            raise UsageError(f"h2o: gqa={self.gqa!r} is none of mean, sum and none")
        if not 0 <= self.recent <= 1:
            raise UsageError(f"h2o: recent={self.recent} is no share of the budget; give a number from 0 to 1")

    def needs(self) -> Needs:
        """Return what it reads."""
        full = self.accumulate == "full"
        return Needs(weights=not full, full_weights=full, columns=True)

    @property
    def metadata_bytes(self) -> int:
        """A float32 sum."""
        return 4

    def session(self, setting: Setting) -> ScoredSession:
        """Return a session."""
        return _Sums(self, setting)


class _Sums(ScoredSession):
    policy: H2O

    def __init__(self, policy: H2O, setting: Setting) -> None:
        super().__init__(policy, setting)
        # In float64, so that a long sum does not depend on how it was rounded; one column more, where -1 (no slot) points.
        self.table = np.zeros((setting.streams(policy.gqa), setting.capacity + 1))
        self.sums = self.table
        self.recent = int(policy.recent * setting.budget)

    def prompt_scores(self, layer: Layer) -> npt.NDArray[np.floating]:
        sums = reduce_heads(layer.columns, layer.kv_heads, self.policy.gqa)
        self.table[layer.streams, : layer.n] = sums
        return self._ranked(self.table[layer.streams, : layer.n], np.arange(layer.n), layer.n - 1)

    def observe(self, step: Step) -> None:
        given = step.full_weights if self.policy.accumulate == "full" else step.weights
        given = reduce_heads(given.reshape(-1, given.shape[-1]), len(step.ids), self.policy.gqa)
        rows = np.arange(step.streams.start, step.streams.stop)[:, None]
        self.sums = self.table[rows, step.ids] + given
        self.table[rows, step.ids] = self.sums

    def scores(self, step: Step) -> npt.NDArray[np.floating]:
        return self._ranked(self.sums, step.ids, step.newest)

    def _ranked(
        self, sums: npt.NDArray[np.floating], ids: npt.NDArray[np.integer], newest: int
    ) -> npt.NDArray[np.floating]:
        if self.policy.normalise:
            sums = sums / (newest + 1 - ids)
        return np.where(ids > newest - self.recent, np.inf, sums)
