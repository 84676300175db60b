"""All but the first tokens and the newest ones is thrown away: StreamingLLM.

Xiao et al., "Efficient streaming language models with attention sinks" (https://arxiv.org/abs/2309.17453); code:
mit-han-lab/streaming-llm 2e50426. The set is the same for all heads and needs no score.

With ``reindex``, as in the paper, keys are turned to their place in the cache instead of their place in the text, and so are
later queries. A query then attends with other weights than at its true position: mass and recall compare it with a model
that it no longer is. Without ``reindex`` (kvpress, unless wrapped) positions stay true, and only the set is StreamingLLM's.
In a model whose layers have a sliding window of their own, a slot that slides out leaves a gap until the next eviction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....traces.errors import UsageError
from ..actions import Action, Evict, Reposition
from ..context import Layer, Prompt, Step
from ..registry import kv_policy
from ..setting import Setting
from ..step_scorer import ScoredSession, StepScorer

__all__ = ["StreamingLLM"]


@kv_policy(title="StreamingLLM", year=2023, source="https://arxiv.org/abs/2309.17453", scorer="position, first tokens")
@dataclass(frozen=True)
class StreamingLLM(StepScorer):
    """Keeps the first tokens and the newest ones.

    Attributes
    ----------
    sink : int
        First tokens that stay.
    reindex : bool
        Whether positions count the slots of the cache, as in the paper, and not the tokens of the text.
    """

    sink: int = 4
    reindex: bool = True

    def __post_init__(self) -> None:
        if self.sink < 0:
            raise UsageError(f"streaming_llm: sink={self.sink} is no number of tokens; give 0 or more")

    def session(self, setting: Setting) -> ScoredSession:
        """Return a session."""
        if setting.budget <= self.sink and setting.budget < setting.capacity:
            raise UsageError(
                f"a budget of {setting.budget} slots is taken up by the {self.sink} first tokens; give streaming_llm at "
                f"least {self.sink + 1}, or fewer of them: streaming_llm:sink={max(setting.budget - 1, 0)}"
            )
        return _Ends(self, setting)


class _Ends(ScoredSession):
    policy: StreamingLLM

    def prompt_scores(self, layer: Layer) -> npt.NDArray[np.floating]:
        rows = layer.streams.stop - layer.streams.start
        return np.broadcast_to(self._ranked(np.arange(layer.n)), (rows, layer.n))

    def scores(self, step: Step) -> npt.NDArray[np.floating]:
        return self._ranked(step.ids)

    def _ranked(self, ids: npt.NDArray[np.integer]) -> npt.NDArray[np.floating]:
        return np.where(ids < self.policy.sink, np.inf, ids.astype(np.float64))

    def on_prompt(self, prompt: Prompt) -> list[Action]:
        actions = super().on_prompt(prompt)
        if not self.policy.reindex:
            return actions
        turned: list[Action] = []
        for layer, action in zip(prompt.layers, actions, strict=True):
            rows = layer.streams.stop - layer.streams.start
            ids = np.broadcast_to(np.arange(layer.n, dtype=np.int32), (rows, layer.n))
            turned += [action, *_counted_anew(action, ids, layer.streams.start)]
        return turned

    def on_step(self, step: Step) -> list[Action]:
        actions = super().on_step(step)
        if not self.policy.reindex:
            return actions
        return [made for action in actions for made in (action, *_counted_anew(action, step.ids, step.streams.start))]


def _counted_anew(action: Action, ids: npt.NDArray[np.int32], first: int) -> list[Action]:
    """Turn what an eviction leaves to positions 0, 1, 2 ...: the streams from which something leaves, and no others."""
    if not isinstance(action, Evict) or not len(action.ids):
        return []
    gone = np.zeros((len(ids), int(ids.max()) + 1), bool)
    gone[action.streams - first, action.ids] = True
    stays = (ids >= 0) & ~np.take_along_axis(gone, np.maximum(ids, 0), axis=1)
    position = np.cumsum(stays, axis=1, dtype=np.int32) - 1
    row, place = np.nonzero(stays & np.any(gone, axis=1)[:, None])
    return [Reposition((row + first).astype(np.int32), ids[row, place], position[row, place])]
