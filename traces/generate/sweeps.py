"""Objects one after the other: the patterns that defeat recency."""

from __future__ import annotations

import numpy as np

from .columns import MAX_OBJECTS, Columns, Dice, finish, whole_number
from .registry import generator

__all__ = ["loop", "scan"]


@generator
def loop(
    n_requests: int, n_objects: int, seed: int = 0, sizes: str | None = None, rate_per_s: float | None = None
) -> Columns:
    """Objects 0, 1, ... in turn, over and over: LRU misses always unless all fit.

    Parameters: `evictlab.traces.generate.registry.HELP`.
    """
    n_requests = whole_number("n_requests", n_requests, 1)
    n_objects = whole_number("n_objects", n_objects, 1, MAX_OBJECTS)
    return finish(np.arange(n_requests) % n_objects, sizes, rate_per_s, seed, Dice(seed))


@generator
def scan(n_requests: int, seed: int = 0, sizes: str | None = None, rate_per_s: float | None = None) -> Columns:
    """Every object once: nothing can hit.

    Parameters: `evictlab.traces.generate.registry.HELP`.
    """
    n_requests = whole_number("n_requests", n_requests, 1)
    return finish(np.arange(n_requests), sizes, rate_per_s, seed, Dice(seed))
