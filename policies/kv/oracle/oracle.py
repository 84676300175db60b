"""The slot that all later steps together attend to least is thrown away, after every step: greedy foresight (O4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..context import Layer, Step
from ..needs import Needs
from ..registry import kv_policy
from ..setting import Setting
from ..step_scorer import ScoredSession, StepScorer, at_ids
from ._future import attention_to_come

__all__ = ["Oracle"]


@kv_policy(
    title="Oracle: greedy",
    year=2026,
    source="https://arxiv.org/abs/2602.03203",
    scorer="future attention, summed over the steps to come",
    window="all steps to come",
    gqa="sum",
    oracle=True,
)
@dataclass(frozen=True)
class Oracle(StepScorer):
    """Keeps what the rest of the text will look at; "golden eviction" in ForesightKV (the source).

    It is no optimum: it holds a slot for a use far away that a sooner one could have had meanwhile. `belady_mass` is exact.
    """

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(future=True)

    def session(self, setting: Setting) -> ScoredSession:
        """Return a session."""
        return _Foresight(self, setting)


class _Foresight(ScoredSession):
    def __init__(self, policy: Oracle, setting: Setting) -> None:
        super().__init__(policy, setting)
        steps = setting.capacity - setting.prompt
        # later[s, t, i]: what position i still gets from step t on. Summed from the end, so that nothing cancels.
        self.later: npt.NDArray[np.floating] = np.zeros((setting.streams(policy.gqa), steps + 1, 0))

    def prompt_scores(self, layer: Layer) -> npt.NDArray[np.floating]:
        gains = attention_to_come(layer)
        if not self.later.shape[2]:
            self.later = np.zeros((*self.later.shape[:2], gains.shape[2]), gains.dtype)
        later = self.later[layer.streams]
        later[:, : gains.shape[1]] = gains[:, ::-1].cumsum(1)[:, ::-1]
        return later[:, 0, : layer.n]

    def scores(self, step: Step) -> npt.NDArray[np.floating]:
        return np.asarray(at_ids(self.later[:, step.step + 1], step))
