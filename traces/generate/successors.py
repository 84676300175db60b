"""Requests that follow from one another, as pages that link to pages."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..mix import mix64
from .columns import MAX_OBJECTS, Columns, Dice, check, finish, whole_number, zipf_ranks
from .registry import generator

__all__ = ["markov"]


@generator
def markov(
    n_requests: int,
    n_objects: int,
    alpha: float = 1.0,
    n_successors: int = 4,
    follow: float = 0.8,
    seed: int = 0,
    sizes: str | None = None,
    rate_per_s: float | None = None,
) -> Columns:
    """A Markov chain: mostly one of the few successors of the object before, else a Zipf draw.

    The successors of an object are fixed by the seed, and are alike in probability.
    Parameters: `evictlab.traces.generate.registry.HELP`.
    """
    n_requests = whole_number("n_requests", n_requests, 1)
    n_objects = whole_number("n_objects", n_objects, 1, MAX_OBJECTS)
    n_successors = whole_number("n_successors", n_successors, 1)
    check("alpha", alpha, most=20)
    check("follow", follow, most=1)
    dice = Dice(seed)
    keys = zipf_ranks(dice.uniform(n_requests), n_objects, alpha)
    follows = dice.uniform(n_requests) < follow
    follows[0] = False
    choice = dice.below(n_requests, n_successors).view(np.uint64)
    salt = mix64(np.array([seed], dtype=np.uint64) + np.uint64(7))
    # All chains advance together, one step per round: requests at depth d of their
    # chain need only those at depth d - 1.
    position = np.arange(n_requests)
    depth = position - np.maximum.accumulate(np.where(follows, 0, position))
    order = np.argsort(depth, kind="stable")
    ends = np.cumsum(np.bincount(depth))
    for start, stop in pairwise(ends):
        now = order[start:stop]
        link = keys[now - 1].view(np.uint64) * np.uint64(n_successors) + choice[now]
        keys[now] = (mix64(link ^ salt) % np.uint64(n_objects)).view(np.int64)
    return finish(keys, sizes, rate_per_s, seed, dice)
