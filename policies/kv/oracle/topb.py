"""Nothing is thrown away; each step reads the slots that matter most to it: the bound of all that read B slots (O1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..actions import Select
from ..context import Step
from ..cut import top
from ..needs import Needs
from ..registry import KVPolicy, Session, kv_policy
from ..setting import Setting

__all__ = ["TopB"]


@kv_policy(
    title="Oracle: top B of each step",
    year=2024,
    source="https://arxiv.org/abs/2410.16179",
    scorer="true attention of the step's own queries",
    window="1",
    gqa="sum: one set for the query heads of a KV head",
    budget="read, not held",
    oracle=True,
)
@dataclass(frozen=True)
class TopB(KVPolicy):
    """Reads what the step's queries attend to most; to know it, it computes all logits.

    What another step wants is fetched again for nothing, so no set of slots that only shrinks can hold more mass: an upper
    bound for evictors as for readers. It reads one slot above the budget, as the queries of an evicting cache do, which see
    the budget and their own token. No slot is read because it is protected; a bound needs no protection.

    More mass is not always a smaller output error: see MagicPIG (the source) on what top-k attention gets wrong.
    """

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(queries=1, keys=True)

    @property
    def selects(self) -> bool:
        """It reads, and evicts nothing."""
        return True

    def make(self, setting: Setting) -> Session:
        """Return a session."""
        return _Reader(setting)


class _Reader(Session):
    def __init__(self, setting: Setting) -> None:
        self.scale = setting.scale

    def select(self, step: Step) -> Select:
        best = top(true_attention(step, self.scale).sum(1), step.budget + 1) & step.live
        group = step.queries(1).shape[1]
        return Select(np.repeat(best[:, None], group, axis=1))


def true_attention(step: Step, scale: float) -> npt.NDArray[np.floating]:
    """Attention of the newest queries to all live slots: float[streams, queries of a stream, slots]; 0 at no slot."""
    queries = step.queries(1)[:, :, 0]
    logits = queries @ step.keys.swapaxes(1, 2) * queries.dtype.type(scale)
    logits = np.where(step.live[:, None], logits, -np.inf)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True))
