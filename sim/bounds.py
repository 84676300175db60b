"""How well could any cache do: bounds on the best hit ratio when objects differ in size.

With equal sizes Belady's MIN is the optimum (`belady:bypass=true`). With different sizes the optimum is NP-hard to find;
these two bounds enclose it.

Between two requests for an object there is an interval, during which keeping the object takes its bytes at every moment.
A hit at the second request costs its volume: bytes times moments. All hits together must fit into the cache at every
moment, with the volume capacity times moments as a consequence.

- `pfoo_lower` asks for the consequence only: it takes the hits that are cheapest by volume until the volume is used up.
  No cache has more hits, so its misses are a *lower* bound.
- `pfoo_upper` takes hits in the same order, each if it fits at every moment beside those taken before. What it takes is a
  schedule that a cache with foresight can follow, so its misses are an *upper* bound on those of the optimum. (Some
  policy with foresight may happen to do better still.)

Source: Berger, Beckmann, Harchol-Balter, "Practical bounds on optimal caching with variable object sizes", POMACS 2(2),
article 32, SIGMETRICS 2018. PFOO-L is theirs. Their PFOO-U finds its schedule by min-cost flows over segments of the trace;
here it is found by packing, in n log n: also a valid bound, not the same number.

Both allow a newcomer to be refused, as in the paper. Where an object's size changes in the course of the trace, the lower
bound counts it at its smallest and the upper bound at its largest, so that both stay bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..traces.units import Size
from .plan import capacity_of

if TYPE_CHECKING:
    from ..traces.request import RequestTrace

__all__ = ["Bound", "pfoo_lower", "pfoo_upper"]


@dataclass(frozen=True)
class Bound:
    """What a bound allows; requests and bytes are bounded each by itself.

    Attributes
    ----------
    hit_ratio : float, 0-1
        Hits over requests.
    byte_hit_ratio : float, 0-1
        Bytes of hits over bytes requested; the same as `hit_ratio` when sizes are off.
    """

    hit_ratio: float
    byte_hit_ratio: float

    @property
    def miss_ratio(self) -> float:
        """Misses over requests."""
        return 1 - self.hit_ratio

    @property
    def byte_miss_ratio(self) -> float:
        """Bytes of misses over bytes requested."""
        return 1 - self.byte_hit_ratio


def pfoo_lower(trace: RequestTrace, size: str | Size, *, ignore_sizes: bool = False) -> Bound:
    """Bound the optimum's misses from below: no cache of this size has fewer.

    Parameters
    ----------
    trace : RequestTrace
    size : str or Size
        ``"1GiB"``, ``"5000obj"``, or ``"10%"`` of the footprint.
    ignore_sizes : bool
        Charge every object 1, whatever the trace says.

    Returns
    -------
    Bound
        Upper bounds on the hit ratios.

    Raises
    ------
    UnitError, UsageError
    """
    capacity = capacity_of(size, trace, ignore_sizes=ignore_sizes)
    hits = _Hits.of(trace, capacity.amount, capacity.byte_sizes, smallest=True)
    room = float(capacity.amount) * (len(trace) - 1)

    def most(values: npt.NDArray[np.float64], whole: bool) -> float:
        """Total value of the best that fit the room: of whole hits of one value each, or with a part of the last."""
        order = np.argsort(hits.volumes / values, kind="stable")
        filled = np.cumsum(hits.volumes[order])
        n = int(np.searchsorted(filled, room, side="right"))
        total = float(values[order[:n]].sum())
        if whole or n == len(order):
            return total
        left = room - (filled[n - 1] if n else 0.0)
        return total + float(values[order[n]] * left / hits.volumes[order[n]])

    n_hits = most(np.ones(len(hits.begins)), whole=True)
    if not capacity.byte_sizes:
        return Bound(n_hits / len(trace), n_hits / len(trace))
    return Bound(n_hits / len(trace), most(hits.values, whole=False) / _requested_bytes(trace))


def pfoo_upper(trace: RequestTrace, size: str | Size, *, ignore_sizes: bool = False) -> Bound:
    """Bound the optimum's misses from above: a cache with foresight has no more.

    Parameters
    ----------
    trace : RequestTrace
    size : str or Size
        ``"1GiB"``, ``"5000obj"``, or ``"10%"`` of the footprint.
    ignore_sizes : bool
        Charge every object 1, whatever the trace says.

    Returns
    -------
    Bound
        Hit ratios that can be reached; the two by different schedules.

    Raises
    ------
    UnitError, UsageError
    """
    from .occupancy import make_occupancy, pack

    capacity = capacity_of(size, trace, ignore_sizes=ignore_sizes)
    hits = _Hits.of(trace, capacity.amount, capacity.byte_sizes, smallest=False)

    def schedule(volume_per_value: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        taken = np.zeros(len(hits.begins), np.bool_)
        order = np.argsort(volume_per_value, kind="stable")
        pack(make_occupancy(len(trace)), hits.begins, hits.ends, hits.amounts, order, capacity.amount, taken)
        return taken

    hit_ratio = int(schedule(hits.volumes).sum()) / len(trace)
    if not capacity.byte_sizes:
        return Bound(hit_ratio, hit_ratio)
    hit_bytes = float(hits.values[schedule(hits.volumes / hits.values)].sum())
    return Bound(hit_ratio, hit_bytes / _requested_bytes(trace))


@dataclass(frozen=True)
class _Hits:
    """All requests that could be hits: those whose object was requested before, and fits.

    Attributes
    ----------
    begins, ends : int32[m] or int64[m]
        Position of the request before, and of the request.
    amounts : int64[m]
        What keeping the object takes at each moment.
    values : float64[m]
        Bytes that the hit would serve; 1 when sizes are off.
    volumes : float64[m]
        Amount times moments.
    """

    begins: npt.NDArray[Any]
    ends: npt.NDArray[Any]
    amounts: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    volumes: npt.NDArray[np.float64]

    @classmethod
    def of(cls, trace: RequestTrace, capacity: int, byte_sizes: bool, *, smallest: bool) -> _Hits:
        prev_use = trace.prev_use
        ends = np.flatnonzero(prev_use >= 0).astype(prev_use.dtype)
        if not byte_sizes:
            ones = np.ones(len(ends), np.int64)
            begins = prev_use[ends]
            return cls(begins, ends, ones, ones.astype(np.float64), (ends - begins).astype(np.float64))
        assert trace.sizes is not None
        size_of = _smallest_sizes(trace) if smallest else trace.object_sizes
        assert size_of is not None
        amounts = size_of[trace.ids[ends]]
        fits = amounts <= capacity
        ends, amounts = ends[fits], amounts[fits]
        begins = prev_use[ends]
        return cls(
            begins, ends, amounts, trace.sizes[ends].astype(np.float64), (ends - begins) * amounts.astype(np.float64)
        )


def _smallest_sizes(trace: RequestTrace) -> npt.NDArray[np.int64]:
    """Bytes of each object, int64[n_objects], the smallest size seen."""
    from ..traces.reuse import largest_sizes

    assert trace.sizes is not None
    largest_negative = np.full(trace.n_objects, np.iinfo(np.int64).min)
    largest_sizes(trace.ids, -trace.sizes, largest_negative)
    return -largest_negative


def _requested_bytes(trace: RequestTrace) -> float:
    assert trace.sizes is not None
    return float(trace.sizes.sum(dtype=np.float64))
