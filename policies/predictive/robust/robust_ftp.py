"""RobustFtP: throw away what the better of a predicted cache and a classic one does not hold.

Random: `marker` and the predicted cache, followed at random (`blum_burch`, eps 0.5). Deterministic: the predicted cache and
`lru`, whichever missed less so far (`follow_leader`, gamma 0.01).

Guarantee (eta: sum over time of the objects by which predicted cache and an offline algorithm OFF differ): misses
``O(min(1 + eta/OFF, log k))`` times OFF's, deterministic ``O(min(1 + eta/OFF, k))``.

The predicted cache is that of `blind_oracle`, which is what `ftp` holds: the same as ``blum_burch+marker+ftp``.

State: that of the combination, see `evictlab.policies.predictive.combine`.
Source: Antoniadis, Coester, Eliáš, Polák, Simon, "Online metric algorithms with untrusted predictions", ICML 2020;
Marker first and eps as in their experiments. Deterministic: Wei, "Better and simpler learning-augmented online caching",
APPROX 2020, combines with LRU in this way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...cache.recency.lru import Lru
from ...cache.recency.marker import Marker
from ...registry import Policy, policy
from ...setting import Setting
from ..arrivals.blind_oracle import BlindOracle
from ..combine import Combined
from .blum_burch import BlumBurch
from .follow_leader import FollowLeader

__all__ = ["RobustFtp"]


@policy(
    title="RobustFtP",
    year=2020,
    source="https://proceedings.mlr.press/v119/antoniadis20a.html",
    sizes=False,
    random=True,
    predictions="next_use",
)
@dataclass(frozen=True)
class RobustFtp(Policy):
    """The predicted cache, combined with Marker or LRU.

    Parameters
    ----------
    deterministic : bool
        Combine with LRU by following the leader; otherwise with Marker, at random.
    """

    deterministic: bool = False

    @property
    def random(self) -> bool:
        """Whether results depend on the seed."""
        return not self.deterministic

    def make(self, setting: Setting) -> Any:
        """Return an empty cache."""
        if self.deterministic:
            return Combined(FollowLeader(), BlindOracle(), Lru()).make(setting)
        return Combined(BlumBurch(), Marker(), BlindOracle()).make(setting)
