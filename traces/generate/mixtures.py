"""Popular objects, disturbed: by scans that come back, or by objects that never do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import UsageError
from .columns import MAX_OBJECTS, Columns, Dice, check, finish, object_sizes, whole_number, zipf_ranks
from .registry import generator

__all__ = ["mixed", "one_hit"]


@generator
def mixed(
    n_requests: int,
    n_objects: int,
    alpha: float = 1.0,
    scan_share: float = 0.2,
    scan_objects: int = 10_000,
    run_length: int = 1_000,
    seed: int = 0,
    sizes: str | None = None,
    rate_per_s: float | None = None,
) -> Columns:
    """Zipf requests interrupted by runs of a scan through other objects, which starts again at its end.

    Every `run_length` requests it is drawn whether the next run is scanned. Scanned
    objects have keys from `n_objects` on. Parameters: `evictlab.traces.generate.registry.HELP`.
    """
    n_requests = whole_number("n_requests", n_requests, 1)
    n_objects = whole_number("n_objects", n_objects, 1, MAX_OBJECTS)
    scan_objects = whole_number("scan_objects", scan_objects, 1, MAX_OBJECTS)
    run_length = whole_number("run_length", run_length, 1)
    check("alpha", alpha, most=20)
    check("scan_share", scan_share, most=1)
    dice = Dice(seed)
    ranks = zipf_ranks(dice.uniform(n_requests), n_objects, alpha)
    runs = dice.uniform(-(-n_requests // run_length)) < scan_share
    scanned = np.repeat(runs, run_length)[:n_requests]
    walk = n_objects + (np.cumsum(scanned) - 1) % scan_objects
    return finish(np.where(scanned, walk, ranks), sizes, rate_per_s, seed, dice)


@generator
def one_hit(
    n_requests: int,
    n_objects: int,
    alpha: float = 1.0,
    one_hit_share: float = 0.3,
    seed: int = 0,
    sizes: str | None = None,
    rate_per_s: float | None = None,
    one_hit_sizes: str | None = None,
) -> Columns:
    """Zipf requests among requests to objects that never come again.

    Those have keys from `n_objects` on. Parameters: `evictlab.traces.generate.registry.HELP`.
    """
    n_requests = whole_number("n_requests", n_requests, 1)
    n_objects = whole_number("n_objects", n_objects, 1, MAX_OBJECTS)
    check("alpha", alpha, most=20)
    check("one_hit_share", one_hit_share, most=1)
    dice = Dice(seed)
    ranks = zipf_ranks(dice.uniform(n_requests), n_objects, alpha)
    once = dice.uniform(n_requests) < one_hit_share
    made = finish(np.where(once, n_objects + np.cumsum(once), ranks), sizes, rate_per_s, seed, dice)
    if one_hit_sizes is None:
        return made
    if made.sizes is None:
        raise UsageError("one_hit_sizes needs sizes of the other objects, too")
    return replace(made, sizes=np.where(once, object_sizes(made.keys, one_hit_sizes, seed), made.sizes))
