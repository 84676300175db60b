"""How much a result depends on the order of requests that a log stamps with the same second.

An access log with whole-second stamps does not tell in which order the requests of a second came. They are replayed in the
order of the file; here they are also replayed in the reverse order and in shuffled ones, and what that changes is said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..policies.registry import Policy, parse_policy
from ..traces.errors import UsageError
from . import loop as at
from .job import Job
from .plan import Capacity

if TYPE_CHECKING:
    from ..traces.request import RequestTrace

__all__ = ["TieSensitivity", "tie_sensitivity", "tied_share"]


@dataclass(frozen=True)
class TieSensitivity:
    """What the order within a second changes.

    Attributes
    ----------
    tied_share : float
        Share of the requests that share their second with another.
    miss_ratio : float
        In the order of the file.
    others : tuple of float
        Miss ratios in the reverse order and in each of the shuffled ones.
    """

    tied_share: float
    miss_ratio: float
    others: tuple[float, ...]

    @property
    def largest(self) -> float:
        """The largest absolute difference from the order of the file, in miss ratio."""
        return max((abs(other - self.miss_ratio) for other in self.others), default=0.0)


def tied_share(trace: RequestTrace) -> float:
    """Share of the requests that share their whole second with another; 0 without times."""
    if trace.times is None:
        return 0.0
    _, counts = np.unique(np.floor(trace.times), return_counts=True)
    return float(counts[counts > 1].sum() / len(trace))


def tie_sensitivity(
    trace: RequestTrace, capacity: Capacity, policy: str | Policy = "lru", *, shuffles: int = 3, seed: int = 0
) -> TieSensitivity:
    """Replay a trace with the requests of each second in other orders.

    Parameters
    ----------
    trace : RequestTrace
        With times.
    capacity : Capacity
    policy : str or Policy
    shuffles : int
        Shuffled orders, beside the reverse one.
    seed : int
        Of the shuffles.

    Raises
    ------
    UsageError
        The trace has no times.
    """
    if trace.times is None:
        raise UsageError(f"{trace.name} has no times, so no two requests share a second")
    second = np.floor(trace.times)
    n = len(trace)
    rng = np.random.Generator(np.random.PCG64(seed))
    tie_breaks = [-np.arange(n), *(rng.permutation(n) for _ in range(shuffles))]
    rule = parse_policy(policy) if isinstance(policy, str) else policy
    orders = [np.lexsort((tie_break, second)) for tie_break in tie_breaks]
    others = tuple(_miss_ratio(_reordered(trace, order), rule, capacity) for order in orders)
    return TieSensitivity(tied_share(trace), _miss_ratio(trace, rule, capacity), others)


def _reordered(trace: RequestTrace, order: npt.NDArray[Any]) -> RequestTrace:
    """The requests in another order, at the same times."""
    return replace(trace.select(order), times=trace.times)


def _miss_ratio(trace: RequestTrace, policy: Policy, capacity: Capacity) -> float:
    job = Job(trace, policy, capacity.amount, byte_sizes=capacity.byte_sizes)
    job.run(len(trace))
    return 1 - int(job.counts[at.HITS]) / int(job.counts[at.REQUESTS])
