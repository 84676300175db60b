"""LRU's curve from a sample of the objects (SHARDS).

If a share R of the objects is followed, chosen by hash, then between two requests for an object about R times as many
followed objects are requested as objects: a stack distance is estimated by a short one, divided by R.

Whose distances? In the paper those of the followed objects, and their weakness is popular objects: whether one with a
twentieth of all requests is followed decides the result, which SHARDS-adj repairs in part. Here, by default, distances
are asked for a random share R of all requests, to any object; only what lies between is counted by sample. The popular
then have their due weight, the estimate is unbiased, and on Zipf(1.0) at 1 % its error is a quarter.

Source: Waldspurger, Park, Garthwaite, Ahmad, "Efficient MRC construction with SHARDS", FAST 2015; SHARDS-adj is section
3.2 there, samples of fixed size are section 3.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ...traces.errors import UsageError
from ..plan import warmup_end
from .fixed_size import fixed_size_histogram
from .grid import grid_up_to
from .result import Curve
from .sampling import check_rate, sampled_objects, spread, watch
from .stack import objects_since, stack_histogram
from .steps import steps
from .weights import byte_histogram, bytes_since

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["shards_curve"]


def shards_curve(
    trace: RequestTrace,
    rate: float | None = None,
    *,
    max_objects: int | None = None,
    ask: Literal["requests", "objects"] = "requests",
    seed: int = 0,
    warmup: str | float = 0.0,
    ignore_sizes: bool = False,
) -> Curve:
    """Estimate LRU's miss ratio at all capacities from a sample.

    Parameters
    ----------
    trace : RequestTrace
    rate : float, optional
        Share of the objects to follow, above 0 and at most 1; 1 gives the exact curve. Either this or `max_objects`.
    max_objects : int, optional
        Follow at most so many objects: the rate begins at 1 and falls whenever there would be one too many.
    ask : {"requests", "objects"}
        Take the distances of a share of all requests, or those of all requests for followed objects, adjusted by
        SHARDS-adj as in the paper. Samples of fixed size always do the latter.
    seed : int
        The sample is the object numbers' hash with the seed: equal traces and seeds, equal samples.
    warmup : str or float
        Requests that are followed but not counted: a fraction, ``20%`` or ``10min``.
    ignore_sizes : bool
        Count objects even where the trace has sizes.

    Returns
    -------
    Curve
        In the model of `lru_curve`; capacities lie about 1 / rate objects apart.

    Raises
    ------
    UsageError
        An impossible rate or number, both or neither, or a sample without any object.
    """
    if (rate is None) == (max_objects is None):
        raise UsageError("a sample is of a rate (0.01) or of a fixed number of objects (max_objects=8192): give one")
    if ask not in ("requests", "objects"):
        raise UsageError(f"distances can be asked of 'requests' or of 'objects', not of {ask!r}")
    begin = warmup_end(warmup, trace)
    sizes = None if ignore_sizes else trace.sizes
    if max_objects is not None:
        method, (estimate, looked_at, last_rate) = "shards-fixed-size", _fixed(trace, sizes, max_objects, seed, begin)
    else:
        last_rate = check_rate(rate)  # type: ignore[arg-type]
        estimated = _of_requests if ask == "requests" else _of_objects
        method, (estimate, looked_at) = (
            "shards" if ask == "requests" else "shards-adj",
            estimated(trace, sizes, last_rate, seed, begin),
        )
    return Curve(
        trace=trace.name,
        policy="lru",
        unit="objects" if sizes is None else "bytes",
        **estimate,
        requests=len(trace) - begin,
        looked_at=looked_at,
        method=method,  # type: ignore[arg-type]
        rate=last_rate,
        seed=seed,
        warmup=str(warmup),
        notes=() if sizes is None else ("objects larger than the cache weigh on it here, while a replay lets them by",),
    )


_Sizes = npt.NDArray[np.int64] | None


def _of_requests(trace: RequestTrace, sizes: _Sizes, rate: float, seed: int, begin: int) -> tuple[dict[str, Any], int]:
    """Distances of a share of the requests; nothing to adjust."""
    asked = spread(begin, len(trace), rate, seed)
    seen = watch(trace.ids, trace.n_objects, rate, seed, asked)
    known = seen.since >= 0
    if sizes is None:
        between = objects_since(seen.prev_use, seen.since, seen.now)[known]
        # The object itself comes on top; with it, the distance is at least 1.
        counts = np.bincount(between, minlength=1)
        capacities = 1 + np.round(np.arange(len(counts)) / rate).astype(np.int64)
        return steps(capacities, counts, len(asked)), len(asked)
    between = bytes_since(seen.prev_use, sizes[seen.positions], seen.since, seen.now)[known]
    weights = sizes[asked]
    needed = np.round(between / rate).astype(np.int64) + weights[known]
    if not len(needed):
        needed, part = np.ones(1, np.int64), np.zeros(1)
        return steps(needed, part, len(asked), part, float(weights.sum())), len(asked)
    capacities, which = np.unique(needed, return_inverse=True)
    hits, byte_hits = np.bincount(which), np.bincount(which, weights[known])
    return steps(capacities, hits, len(asked), byte_hits, float(weights.sum())), len(asked)


def _of_objects(trace: RequestTrace, sizes: _Sizes, rate: float, seed: int, begin: int) -> tuple[dict[str, Any], int]:
    """Distances of the followed objects' requests; what these are too few is taken for hits everywhere (SHARDS-adj)."""
    chosen = sampled_objects(trace.n_objects, rate, seed)[trace.ids]
    sample, start = trace.select(chosen), int(np.count_nonzero(chosen[:begin]))
    looked_at = len(sample) - start
    expected = rate * (len(trace) - begin)
    if sizes is None:
        hits = stack_histogram(sample.prev_use, sample.n_objects, start)[1:].astype(np.float64)
        hits[0] += expected - looked_at
        capacities = np.round(np.arange(1, len(hits) + 1) / rate).astype(np.int64)
        return steps(capacities, hits, expected), looked_at
    assert sample.sizes is not None and sample.footprint_bytes is not None
    grid = grid_up_to(sample.footprint_bytes)
    counts, byte_counts = byte_histogram(sample.prev_use, sample.sizes, start, grid)
    hits, byte_hits = counts.astype(np.float64), byte_counts.astype(np.float64)
    expected_bytes = rate * float(sizes[begin:].sum())
    hits[0] += expected - looked_at
    byte_hits[0] += expected_bytes - float(sample.sizes[start:].sum())
    capacities = np.round(grid.capacities / rate).astype(np.int64)
    return steps(capacities, hits, expected, byte_hits, expected_bytes), looked_at


def _fixed(
    trace: RequestTrace, sizes: _Sizes, max_objects: int, seed: int, begin: int
) -> tuple[dict[str, Any], int, float]:
    """Distances of the followed objects' requests, each weighed by the rate of its time; adjusted likewise."""
    footprint = trace.n_objects if sizes is None else trace.footprint_bytes
    assert footprint is not None
    grid = grid_up_to(footprint)
    found = fixed_size_histogram(trace.ids, trace.n_objects, sizes, max_objects, seed, begin, grid)
    requests = float(len(trace) - begin)
    found.hits[0] += requests - found.requests
    if sizes is None:
        return steps(grid.capacities, found.hits, requests), found.looked_at, found.rate
    n_bytes = float(sizes[begin:].sum())
    found.byte_hits[0] += n_bytes - found.n_bytes
    return steps(grid.capacities, found.hits, requests, found.byte_hits, n_bytes), found.looked_at, found.rate
