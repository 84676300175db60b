"""LRU at every capacity from one pass over the trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..plan import warmup_end
from .grid import grid_up_to
from .result import Curve
from .stack import stack_histogram
from .steps import steps
from .weights import byte_histogram

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["lru_curve", "lru_from"]


def lru_curve(
    trace: RequestTrace,
    *,
    sizes: Sequence[int] = (),
    warmup: str | float = 0.0,
    ignore_sizes: bool = False,
) -> Curve:
    """Miss ratio of LRU at all capacities, exact.

    Parameters
    ----------
    trace : RequestTrace
    sizes : sequence of int
        Capacities in bytes that shall be among the curve's, besides those it has anyway; without effect on curves in
        objects, which have them all.
    warmup : str or float
        Requests that fill the stack but are not counted: a fraction, ``20%`` or ``10min``.
    ignore_sizes : bool
        Count objects even where the trace has sizes.

    Returns
    -------
    Curve
        In objects: exact everywhere. In bytes: exact, within the model below, at each of its capacities, which lie 0.1 %
        or less apart.

    Raises
    ------
    UsageError
        A warm-up that leaves nothing to count.

    Notes
    -----
    In bytes, the model is a stack on which each object weighs as much as its latest request said; a request hits from
    the capacity on that holds everything from the top down to its object. How a replay differs:

    - Requests for objects larger than the cache pass it by in a replay, but weigh on the stack here. For capacities
      below the largest object the curve is therefore an upper bound of the replay's misses; a note says from where on
      there is no difference. `curve` answers single capacities below that without this difference.
    - A replay charges what the request said that brought the object in; here the latest counts. On a day of a web log
      in which 11 % of the requests state another size than before (NASA 1995), the two differ by less than 0.003.

    Otherwise they are equal, hit for hit: LRU evicts until the newcomer fits, so that an object is still there exactly
    if everything requested since fits together with it.

    Sources: Mattson et al., IBM Systems Journal 9(2), 1970; `evictlab.sim.curves.holes`.
    """
    return lru_from(trace, warmup_end(warmup, trace), str(warmup), sizes, ignore_sizes)


def lru_from(trace: RequestTrace, begin: int, warmup: str, sizes: Sequence[int], ignore_sizes: bool = False) -> Curve:
    """`lru_curve` with the warm-up as the position of the first request that is counted."""
    requests = len(trace) - begin
    notes: tuple[str, ...] = ()
    if trace.sizes is None or ignore_sizes:
        histogram = stack_histogram(trace.prev_use, trace.n_objects, begin)
        found = steps(np.arange(1, trace.n_objects + 1), histogram[1:], requests)
    else:
        assert trace.footprint_bytes is not None
        grid = grid_up_to(trace.footprint_bytes, sizes)
        hits, byte_hits = byte_histogram(trace.prev_use, trace.sizes, begin, grid)
        found = steps(grid.capacities, hits, requests, byte_hits, int(trace.sizes[begin:].sum()), sizes)
        notes = (f"upper bound of a replay's misses below {int(trace.sizes.max()):,} bytes, the largest object",)
    return Curve(
        trace=trace.name,
        policy="lru",
        unit="objects" if found["byte_miss_ratio"] is None else "bytes",
        **found,
        requests=requests,
        looked_at=requests,
        method="exact",
        warmup=warmup,
        notes=notes,
    )
