"""The slot that the newest query attends to least is thrown away: TOVA.

Oren et al., "Transformers are multi-state RNNs" (https://arxiv.org/abs/2401.06104); code: schwartz-lab-NLP/TOVA 9c7d09b.
As there, neither sinks nor the newest token are protected: the newest may leave at once. kvpress keeps the newest token:
`force_last`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..context import Layer, Step
from ..needs import Needs
from ..registry import kv_policy
from ..setting import Setting
from ..step_scorer import ScoredSession, StepScorer

__all__ = ["TOVA"]


@kv_policy(
    title="TOVA",
    year=2024,
    source="https://arxiv.org/abs/2401.06104",
    scorer="attention of the newest query",
    window="1",
    gqa="mean over all heads of the layer: one set for the layer",
)
@dataclass(frozen=True)
class TOVA(StepScorer):
    """Keeps what the last query looked at, one set for all heads of a layer.

    Attributes
    ----------
    force_last : bool
        Keep the newest token whatever attention it got.
    """

    force_last: bool = False

    @property
    def forced(self) -> int:
        """The newest token, if it is to stay."""
        return int(self.force_last)

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(weights=True, window=1)

    def session(self, setting: Setting) -> ScoredSession:
        """Return a session."""
        return _LastRow(self, setting)


class _LastRow(ScoredSession):
    def prompt_scores(self, layer: Layer) -> npt.NDArray[np.floating]:
        last = layer.weights(1)[:, 0].mean(0)
        return np.broadcast_to(last, (layer.kv_heads, layer.n))

    def scores(self, step: Step) -> npt.NDArray[np.floating]:
        heads = self.setting.kv_heads
        of_head = step.weights.mean(1)
        of_layer = of_head.reshape(-1, heads, of_head.shape[1]).mean(1)
        return np.repeat(of_layer, heads, axis=0)
