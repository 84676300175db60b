"""Blum-Burch: throw away what one of two policies would not hold, followed at random, the better one more probably.

Each of the two has a weight that a miss multiplies by ``beta = 1 - eps/2``; the cache follows each with the probability
that is its share of the weights, and changes over only when the share of the one that is followed falls: with the
probability ``(share before - share after) / share before``. So it moves as seldom as the shares allow.

Expected misses: (1 + eps) of the better one's, and a term O(k / eps) that does not grow with the trace.

Only the difference d of the misses (the other's minus the leader's) counts: the leader's share is ``1 / (1 + beta^d)``,
and when it alone misses, the cache leaves it with probability ``(1 - beta) / (1 + beta^(1-d))``. Nothing underflows, however
long the trace.

Source: Blum, Burch, "On-line learning and the metrical task system problem", Machine Learning 39(1), 2000; for caching with
predictions Chłędowski, Polák, Szabucki, Żołna, "Robust learning-augmented caching: an experimental study", ICML 2021
(eps 0.01 there); eps 0.5 as in Antoniadis, Coester, Eliáš, Polák, Simon, ICML 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...random import random_below, random_unit
from ...registry import policy
from ...setting import Setting
from ..combine import Combiner, combiner

__all__ = ["BlumBurch"]

_LEAST_EXPONENT = -1000  # beta is at least 1/2; what is left of the probability there is nothing


class State(NamedTuple):
    """What the combiner remembers.

    Attributes
    ----------
    missed : int64[2]
        Misses of the two.
    leader : int64[1]
    beta : float64[1]
        What a miss multiplies a weight by.
    rng : uint64[1]
    """

    missed: Any
    leader: Any
    beta: Any
    rng: Any


@policy(
    title="Blum-Burch",
    year=2000,
    source="https://doi.org/10.1023/A:1007621832648",
    sizes=False,
    random=True,
    combines=True,
)
@dataclass(frozen=True)
class BlumBurch(Combiner):
    """Follow one of two policies at random, weighed by their misses.

    Parameters
    ----------
    eps : float
        Above 0, at most 1: small values change over seldom, large ones learn fast.
    """

    eps: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.eps <= 1:
            raise UsageError(f"blum_burch: eps={self.eps:g}; it must be above 0 and at most 1")

    def make_rule(self, setting: Setting) -> State:
        """Return a fresh state of the rule."""
        rng = setting.random_state()
        leader = np.array([random_below(rng, 2)], np.int64)
        return State(np.zeros(2, np.int64), leader, np.array([1 - self.eps / 2]), rng)


def _choose(rule, first_missed, second_missed):
    leader = rule.leader[0]
    ahead = rule.missed[1 - leader] - rule.missed[leader]
    rule.missed[0] += first_missed
    rule.missed[1] += second_missed
    if rule.missed[1 - leader] - rule.missed[leader] < ahead:
        beta = rule.beta[0]
        if random_unit(rule.rng) < (1.0 - beta) / (1.0 + beta ** np.float64(max(1 - ahead, _LEAST_EXPONENT))):
            rule.leader[0] = 1 - leader
    return rule.leader[0]


combiner(State, _choose)
