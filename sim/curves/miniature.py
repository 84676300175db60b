"""The curve of any policy from small caches: a share of the objects, and the same share of each capacity.

Source: Waldspurger, Saemundsson, Ahmad, Park, "Cache modeling and optimization using miniature simulations", USENIX
ATC 2017.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...policies.registry import Policy, parse_policy
from ...traces.errors import UsageError
from .. import loop as at
from ..job import Job, check_capable, check_unseen
from ..plan import warmup_end
from .result import Curve
from .sampling import check_rate, sampled_objects

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["miniature_curve"]

ENOUGH_OBJECTS = 10_000
"""A sample of this many objects stands for any trace."""

ENOUGH_PLACES = 32
"""A miniature cache should hold as many objects as this, on average."""

_SMALLEST, _CAPACITIES = 0.001, 25


def miniature_curve(
    trace: RequestTrace,
    policy: str | Policy,
    rate: float | None = None,
    *,
    sizes: Sequence[int] | None = None,
    seed: int = 0,
    warmup: str | float = 0.0,
    ignore_sizes: bool = False,
    threads: int | None = None,
) -> Curve:
    """Estimate a policy's miss ratio at several capacities by replaying a sample of the objects against small caches.

    Parameters
    ----------
    trace : RequestTrace
    policy : str or Policy
        Any policy that can be replayed.
    rate : float, optional
        Share of the objects and of the capacity; 1 replays the whole trace. By default as large as it takes to follow
        10,000 objects, and to leave the smallest cache room for 32.
    sizes : sequence of int, optional
        Capacities, in bytes where sizes count and in objects otherwise; by default 25 from 0.1 % to 100 % of the footprint.
    seed : int
        Of the sample, and of policies that draw random numbers.
    warmup : str or float
        Requests that are replayed but not counted: a fraction, ``20%`` or ``10min``.
    ignore_sizes : bool
        Count objects even where the trace has sizes.
    threads : int, optional
        Capacities replayed at a time; by default one per core.

    Returns
    -------
    Curve
        With a point for each capacity; `below` is NaN.

    Raises
    ------
    UsageError
        An impossible rate, a sample without any object to count, or a capacity below 1.
    CapabilityError
        The policy cannot do what the trace needs.

    Notes
    -----
    Misses of the sample are divided by the requests that it should have had (rate x requests), not by those it has: a
    popular object that is in the sample or is not changes the number of hits a lot, of misses hardly. This is SHARDS-adj
    for simulations, and the estimate is unbiased.

    Where sizes count, an object larger than the miniature cache passes it by though the cache itself would have room.
    The note of the curve says from which capacity on this does not happen.
    """
    policy = parse_policy(policy)
    n_bytes = trace.sizes is not None and not ignore_sizes
    check_capable(policy, trace, byte_sizes=n_bytes, ttl=False)
    footprint = trace.footprint_bytes if n_bytes else trace.n_objects
    assert footprint is not None
    capacities = _capacities(sizes, footprint)
    rate = _enough(trace, int(capacities[0]), footprint) if rate is None else check_rate(rate)
    begin = warmup_end(warmup, trace)
    check_unseen(policy, trace, begin)
    sample, start = (trace, begin) if rate == 1 else _sample(trace, rate, seed, begin)

    def counts(capacity: int) -> npt.NDArray[Any]:
        job = Job(sample, policy, max(1, round(capacity * rate)), byte_sizes=n_bytes, seed=seed)
        job.run(start)
        before = job.counts.copy()
        job.run(len(sample))
        return job.counts - before

    with ThreadPoolExecutor(max(1, threads or os.cpu_count() or 1), thread_name_prefix="miniature") as pool:
        found = np.stack(list(pool.map(counts, capacities.tolist())))
    misses, missed_bytes = found[:, at.REQUESTS] - found[:, at.HITS], found[:, at.BYTES] - found[:, at.HIT_BYTES]
    requests = len(trace) - begin
    bytewise: npt.NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()
    if n_bytes:
        assert trace.sizes is not None
        bytewise = np.clip(missed_bytes / (rate * float(trace.sizes[begin:].sum())), 0, 1)
        notes = _sizes_note(int(trace.sizes.max()), rate)
    return Curve(
        trace=trace.name,
        policy=policy.label,
        unit="bytes" if n_bytes else "objects",
        capacities=capacities,
        miss_ratio=np.clip(misses / (rate * requests), 0, 1),
        byte_miss_ratio=bytewise,
        requests=requests,
        looked_at=len(sample) - start,
        method="miniature",
        rate=rate,
        seed=seed,
        warmup=str(warmup),
        below=np.nan,
        notes=notes,
    )


def _capacities(sizes: Sequence[int] | None, footprint: int) -> npt.NDArray[np.int64]:
    if sizes is None:
        return np.unique(np.geomspace(max(1.0, footprint * _SMALLEST), footprint, _CAPACITIES).round().astype(np.int64))
    capacities = np.unique(np.asarray(sizes, np.int64))
    if len(capacities) == 0 or capacities[0] < 1:
        raise UsageError(f"no curve at the capacities {list(sizes)}; give at least one, and none below 1")
    return capacities


def _enough(trace: RequestTrace, smallest: int, footprint: int) -> float:
    """The rate that follows enough objects and leaves the smallest cache enough places."""
    mean = footprint / trace.n_objects
    return float(min(1.0, max(ENOUGH_OBJECTS / trace.n_objects, ENOUGH_PLACES * mean / smallest)))


def _sample(trace: RequestTrace, rate: float, seed: int, begin: int) -> tuple[RequestTrace, int]:
    """All requests for a sample of the objects, and where counting begins among them."""
    chosen = sampled_objects(trace.n_objects, rate, seed)[trace.ids]
    start = int(np.count_nonzero(chosen[:begin]))
    sample = trace.select(chosen)
    if start == len(sample):
        raise UsageError(f"the sample of {rate:g} has no requests after the warm-up; take a higher rate")
    return sample, start


def _sizes_note(largest: int, rate: float) -> tuple[str, ...]:
    if rate == 1:
        return ()
    reach = int(np.ceil(largest / rate))
    return (f"below {reach:,} bytes (largest object / rate), objects too large for a miniature cache pass it by",)
