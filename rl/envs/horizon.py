"""How far ahead a decision matters: the time that a resident stays under LRU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...policies.registry import parse_policy
from ...sim import loop as at
from ...sim.job import Job
from ...sim.plan import Capacity, lifetimes

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["mean_stay"]

_LOOKS = 100


def mean_stay(trace: RequestTrace, capacity: Capacity, *, ttl: str | float | None = None) -> float:
    """Return the mean number of requests for which an object stays in an LRU cache.

    By Little's law this is the mean number of residents divided by the insertions per request; the residents are counted
    at a hundred moments of a replay. Objects that still stay when the trace ends count up to there.

    Parameters
    ----------
    trace : RequestTrace
    capacity : Capacity
    ttl : str, float or None
        As for `evictlab.sim.replay`; an expired object stays until it is evicted.

    Returns
    -------
    float
        At least 1.
    """
    job = Job(
        trace, parse_policy("lru"), capacity.amount, byte_sizes=capacity.byte_sizes, ttls=lifetimes(ttl, trace)
    )  # fmt: skip
    residents, entered = [0], 0
    moments = np.unique(np.linspace(0, len(trace), _LOOKS + 1).astype(np.int64))
    for stop in moments[1:]:
        job.run(int(stop))
        counts = job.counts
        gone_by = counts[at.HITS] + counts[at.EXPIRED] + counts[at.REFUSED] + counts[at.TOO_LARGE]
        entered = int(counts[at.REQUESTS] - gone_by)
        residents.append(entered - int(counts[at.EVICTIONS]))
    stayed = float(np.trapezoid(residents, moments))
    return max(1.0, stayed / max(entered, 1))
