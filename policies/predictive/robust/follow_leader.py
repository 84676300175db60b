"""Follow the leader: throw away what the better of two policies would not hold, where better means fewer misses so far.

The one that is followed may miss up to a bound; when it has missed more, the other one is followed and the bound grows by
a factor ``1 + gamma``. The bound is raised step by step, so that the cache may change over several times at one request.

Guarantee: misses at most ``2 + gamma`` times those of the better one, and k for each change, of which there are at most
``log(misses) / log(1 + gamma)``; for the better one misses up to the last bound, the other up to ``1 + gamma`` times that.
No random numbers: with LRU as one of the two, any policy becomes O(k)-competitive.

Source: Fiat, Rabani, Ravid, "Competitive k-server algorithms", JCSS 48(3), 1994; with these numbers (the first listed
leads, bound 1, gamma 0.01) the deterministic combiner of Antoniadis, Coester, Eliáš, Polák, Simon, ICML 2020.
Elsewhere the cache changes over when the one that is followed has missed twice as often as the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...registry import policy
from ...setting import Setting
from ..combine import Combiner, combiner

__all__ = ["FollowLeader"]


class State(NamedTuple):
    """What the combiner remembers.

    Attributes
    ----------
    missed : int64[2]
        Misses of the two.
    leader : int64[1]
    bound : float64[1]
        How often the leader may have missed.
    growth : float64[1]
        Factor of the bound at each change.
    """

    missed: Any
    leader: Any
    bound: Any
    growth: Any


@policy(
    title="Follow the leader",
    year=1994,
    source="https://doi.org/10.1016/S0022-0000(05)80060-1",
    sizes=False,
    combines=True,
)
@dataclass(frozen=True)
class FollowLeader(Combiner):
    """Follow the one of two policies that missed less so far.

    Parameters
    ----------
    gamma : float
        By how much more the other one may miss before the cache changes back; above 0.
    """

    gamma: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.gamma < np.inf:
            raise UsageError(f"follow_leader: gamma={self.gamma:g}; it must be above 0, or the bound would never grow")

    def make_rule(self, setting: Setting) -> State:
        """Return a fresh state of the rule."""
        return State(np.zeros(2, np.int64), np.zeros(1, np.int64), np.ones(1), np.array([1 + self.gamma]))


def _choose(rule, first_missed, second_missed):
    rule.missed[0] += first_missed
    rule.missed[1] += second_missed
    while rule.missed[rule.leader[0]] > rule.bound[0]:
        rule.leader[0] = 1 - rule.leader[0]
        rule.bound[0] *= rule.growth[0]
    return rule.leader[0]


combiner(State, _choose)
