"""Popularity that moves on: what was popular cools down, and new things come to the top."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .columns import MAX_OBJECTS, Columns, Dice, check, finish, whole_number, zipf_ranks
from .registry import generator

__all__ = ["drifting_keys", "shifting"]


@generator
def shifting(
    n_requests: int,
    n_objects: int,
    alpha: float = 1.0,
    drift_requests: int = 1_000,
    seed: int = 0,
    sizes: str | None = None,
    rate_per_s: float | None = None,
) -> Columns:
    """Zipf requests, while every so often the least popular object becomes the most popular.

    All others go down by one rank then. Parameters: `evictlab.traces.generate.registry.HELP`.
    """
    n_requests = whole_number("n_requests", n_requests, 1)
    n_objects = whole_number("n_objects", n_objects, 1, MAX_OBJECTS)
    drift_requests = whole_number("drift_requests", drift_requests, 1)
    check("alpha", alpha, most=20)
    dice = Dice(seed)
    ranks = zipf_ranks(dice.uniform(n_requests), n_objects, alpha)
    return finish(drifting_keys(ranks, n_objects, drift_requests), sizes, rate_per_s, seed, dice)


def drifting_keys(ranks: npt.NDArray[np.int64], n_objects: int, drift_requests: int) -> npt.NDArray[np.int64]:
    """Return the object that has each rank at its time: object j starts at rank j."""
    return (ranks - np.arange(len(ranks)) // drift_requests) % n_objects
