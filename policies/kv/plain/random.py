"""Slots are thrown away at random: what a scorer is worth is what it does better than this."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...random import mix64
from ..context import Layer, Step
from ..registry import kv_policy
from ..setting import Setting
from ..step_scorer import ScoredSession, StepScorer

__all__ = ["Random"]

AT_PROMPT = 0


@kv_policy(
    title="Random", year=1966, source="https://doi.org/10.1147/sj.52.0078", scorer="a random number", random=True
)
@dataclass(frozen=True)
class Random(StepScorer):
    """Evicts any slot with the same chance.

    The numbers are drawn anew at each step: a number that a slot kept for life would let hardly any newcomer stay. They
    depend on seed, stream, step and slot only, so that a run layer by layer does what a run of all layers does.
    """

    def session(self, setting: Setting) -> ScoredSession:
        """Return a session."""
        return _Dice(self, setting)


class _Dice(ScoredSession):
    def prompt_scores(self, layer: Layer) -> npt.NDArray[np.floating]:
        rows = layer.streams.stop - layer.streams.start
        return self._drawn(layer.streams, AT_PROMPT, np.broadcast_to(np.arange(layer.n), (rows, layer.n)))

    def scores(self, step: Step) -> npt.NDArray[np.floating]:
        return self._drawn(step.streams, step.step + 1, step.ids)

    def _drawn(self, streams: slice, moment: int, ids: npt.NDArray[np.integer]) -> npt.NDArray[np.floating]:
        stream = np.arange(streams.start, streams.stop, dtype=np.uint64)
        word = mix64(mix64(np.array([self.setting.seed], np.uint64)) + stream)
        word = mix64(mix64(word + np.uint64(moment))[:, None] + ids.astype(np.uint64))
        return np.asarray((word >> np.uint64(11)).astype(np.float64) * 2.0**-53)
