"""A library of traces to play: their columns one after another, so that one compiled function plays any of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...policies.learned.facts import MISSING
from ...sim.plan import lifetimes
from ...traces.errors import UsageError

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["Library", "make_library"]


@dataclass(frozen=True)
class Library:
    """Columns of all traces, each trace from ``begins[i]`` to ``begins[i + 1]``.

    Attributes
    ----------
    names : tuple of str
    begins : int64[n_traces + 1]
    ids : int32[total]
    sizes : int64[total], bytes
        1 where objects are counted.
    times : float64[total], seconds
        The number of the request where a trace has no times.
    ttls : float32[total], seconds
        ``inf`` = does not expire.
    costs : float32[total], seconds
        `MISSING` where not known.
    next_use : int32[total]
        Number within its trace of the next request for the same object, the dtype's maximum for none.
    n_objects : int
        The most of any trace.
    """

    names: tuple[str, ...]
    begins: Any
    ids: Any
    sizes: Any
    times: Any
    ttls: Any
    costs: Any
    next_use: Any
    n_objects: int

    def __len__(self) -> int:
        return len(self.names)


def make_library(traces: Sequence[RequestTrace], *, byte_sizes: bool = True, ttl: str | float | None = None) -> Library:
    """Put traces side by side.

    Parameters
    ----------
    traces : sequence of RequestTrace
    byte_sizes : bool
        Charge each object its size; otherwise 1.
    ttl : str, float or None
        As for `evictlab.sim.replay`.

    Raises
    ------
    UsageError
        No trace, one without requests, or one without sizes that are asked for.
    """
    if not traces:
        raise UsageError("there is no trace to learn from")
    columns: list[tuple[Any, ...]] = []
    for trace in traces:
        n = len(trace)
        if not n:
            raise UsageError(f"{trace.name} has no requests")
        if byte_sizes and trace.sizes is None:
            raise UsageError(f"{trace.name} has no sizes: give the capacity in objects, as in 5000obj")
        ttls = lifetimes(ttl, trace)
        columns.append(
            (
                trace.ids,
                trace.sizes if byte_sizes else np.ones(n, np.int64),
                np.arange(n, dtype=np.float64) if trace.times is None else trace.times,
                np.full(n, np.inf, np.float32) if ttls is None else ttls,
                np.full(n, MISSING, np.float32) if trace.costs is None else trace.costs,
                np.minimum(trace.next_use, np.iinfo(np.int32).max).astype(np.int32),
            )
        )
    ids, sizes, times, lives, costs, next_use = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    return Library(
        tuple(trace.name for trace in traces),
        np.cumsum([0, *(len(trace) for trace in traces)]),
        ids,
        sizes.astype(np.int64),
        times,
        lives.astype(np.float32),
        costs.astype(np.float32),
        next_use,
        max(trace.n_objects for trace in traces),
    )
