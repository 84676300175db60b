"""The slots that most often got less than their share of attention are thrown away, many at once: Scissorhands.

Liu et al., "Scissorhands: exploiting the persistence of importance hypothesis for LLM KV cache compression at test time"
(https://arxiv.org/abs/2305.17118). No code of the authors is known; this follows the paper's description: among the last
`history` queries, count those that gave a slot less than the average of what they saw. When the cache is full, the slots of
largest count leave in one burst, so that it has room for as many tokens. Counts tie often, and then the older slot leaves
first. At the end of a prompt only what does not fit leaves. Where fewer of the prompt's queries were recorded than `history`,
the history begins with those.

KVCache-Factory's module of this name ranks by a sum of attention that fades with age instead: `decay`. There rows also leave
that sum when they leave the window; here they only fade. Its drawing of slots by chance, and budgets by layer from the
measured persistence (paper), are not offered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....traces.errors import UsageError
from ..actions import Action
from ..context import Layer, Step
from ..needs import Needs
from ..pooling import reduce_heads
from ..registry import kv_policy
from ..setting import Setting
from ..step_scorer import ScoredSession, StepScorer

__all__ = ["Scissorhands"]


@kv_policy(
    title="Scissorhands",
    year=2023,
    source="https://arxiv.org/abs/2305.17118",
    scorer="how seldom attention was below average",
    window="400",
    gqa="mean",
)
@dataclass(frozen=True)
class Scissorhands(StepScorer):
    """Keeps what was seldom below average; evicts in bursts.

    Attributes
    ----------
    history : int
        Last queries that are counted.
    recent : int
        Newest tokens that stay.
    drop : float
        Share of the budget that leaves when it is full; at least one slot.
    decay : float
        0: counts. Else the score is a sum of attention in which each step counts `decay` times as much as the one after it.
    gqa : {"mean", "max", "sum", "none"}
        Reduced before it is compared with the average.
    """

    history: int = 400
    recent: int = 10
    drop: float = 0.5
    decay: float = 0.0
    gqa: str = "mean"

    def __post_init__(self) -> None:
        if self.history < 1 or self.recent < 0 or not 0 <= self.drop <= 1 or not 0 <= self.decay < 1:
            raise UsageError(
                f"scissorhands: history={self.history} must be at least 1, recent={self.recent} not negative, "
                f"drop={self.drop} from 0 to 1, and decay={self.decay} from 0 to below 1"
            )

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(weights=True, window=self.history)

    @property
    def kept_queries(self) -> int:
        """None: they are asked at the end of the prompt only."""
        return 0

    @property
    def forced(self) -> int:
        """The newest tokens."""
        return self.recent

    @property
    def metadata_bytes(self) -> int:
        """A bit for each query of the window and their number, or a float32 sum."""
        return 4 if self.decay else -(-self.history // 8) + 2

    def session(self, setting: Setting) -> ScoredSession:
        """Return a session."""
        return (_Faded if self.decay else _Counted)(self, setting)


class _Bursts(ScoredSession):
    policy: Scissorhands

    def __init__(self, policy: Scissorhands, setting: Setting) -> None:
        super().__init__(policy, setting)
        self.burst = max(int(policy.drop * setting.budget), 1)

    def asked(self, layer: Layer) -> npt.NDArray[np.floating]:
        """What the last queries of the prompt gave: [streams of the layer, queries, n]."""
        asked = min(self.policy.history, layer.n - layer.missing_queries)
        return reduce_heads(layer.weights(asked), layer.kv_heads, self.policy.gqa)

    def given(self, step: Step) -> npt.NDArray[np.floating]:
        """What this step's queries gave: [streams, slots]."""
        return reduce_heads(step.weights.reshape(-1, step.ids.shape[1]), len(step.ids), self.policy.gqa)

    def on_step(self, step: Step) -> list[Action]:
        self.observe(step)
        full = step.count > step.budget
        if not full.any():
            return []
        keep = np.where(full, step.count - self.burst, step.count)
        cut = step.cut(self.scores(step), keep, self.policy.forced)
        return [] if cut is None else [cut]


class _Counted(_Bursts):
    def __init__(self, policy: Scissorhands, setting: Setting) -> None:
        super().__init__(policy, setting)
        # One column more than there are slots: where -1 (no slot) points. The row of the query at position p is p % history.
        shape = (setting.streams(policy.gqa), setting.capacity + 1)
        self.below = np.zeros((min(policy.history, setting.capacity), *shape), bool)
        self.count = np.zeros(shape, np.int32)

    def prompt_scores(self, layer: Layer) -> npt.NDArray[np.floating]:
        given = self.asked(layer)
        query = np.arange(layer.n - given.shape[1], layer.n)
        below = (given < 1 / (query + 1)[:, None]) & (np.arange(layer.n) <= query[:, None])
        self.below[query % len(self.below), layer.streams, : layer.n] = below.swapaxes(0, 1)
        self.count[layer.streams, : layer.n] = below.sum(1)
        return -self.count[layer.streams, : layer.n].astype(np.float64)

    def observe(self, step: Step) -> None:
        rows = np.arange(step.streams.start, step.streams.stop)[:, None]
        below = self.below[step.newest % len(self.below)]
        self.count[step.streams] -= below[step.streams]
        below[step.streams] = False
        below[rows, step.ids] = self.given(step) < 1 / step.count[:, None]
        self.count[step.streams] += below[step.streams]

    def scores(self, step: Step) -> npt.NDArray[np.floating]:
        rows = np.arange(step.streams.start, step.streams.stop)[:, None]
        return -self.count[rows, step.ids].astype(np.float64)


class _Faded(_Bursts):
    def __init__(self, policy: Scissorhands, setting: Setting) -> None:
        super().__init__(policy, setting)
        self.table = np.zeros((setting.streams(policy.gqa), setting.capacity + 1))
        self.sums = self.table

    def prompt_scores(self, layer: Layer) -> npt.NDArray[np.floating]:
        given = self.asked(layer)
        faded = self.policy.decay ** np.arange(given.shape[1] - 1, -1, -1)
        self.table[layer.streams, : layer.n] = (given * faded[:, None]).sum(1)
        return self.table[layer.streams, : layer.n]

    def observe(self, step: Step) -> None:
        rows = np.arange(step.streams.start, step.streams.stop)[:, None]
        self.sums = self.policy.decay * self.table[rows, step.ids] + self.given(step)
        self.table[rows, step.ids] = self.sums

    def scores(self, step: Step) -> npt.NDArray[np.floating]:
        return self.sums
