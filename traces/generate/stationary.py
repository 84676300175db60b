"""Independent requests: the same popularity all the time."""

from __future__ import annotations

from .columns import MAX_OBJECTS, Columns, Dice, check, finish, whole_number, zipf_ranks
from .registry import generator

__all__ = ["uniform", "zipf"]


@generator
def zipf(
    n_requests: int,
    n_objects: int,
    alpha: float = 1.0,
    seed: int = 0,
    sizes: str | None = None,
    rate_per_s: float | None = None,
) -> Columns:
    """Independent requests, object r with probability proportional to r^-alpha.

    Keys are popularity ranks from 0. Parameters: `evictlab.traces.generate.registry.HELP`.
    """
    n_requests = whole_number("n_requests", n_requests, 1)
    n_objects = whole_number("n_objects", n_objects, 1, MAX_OBJECTS)
    check("alpha", alpha, most=20)
    dice = Dice(seed)
    return finish(zipf_ranks(dice.uniform(n_requests), n_objects, alpha), sizes, rate_per_s, seed, dice)


@generator
def uniform(
    n_requests: int, n_objects: int, seed: int = 0, sizes: str | None = None, rate_per_s: float | None = None
) -> Columns:
    """Independent requests, all objects alike: nothing to learn, every policy hits capacity / objects.

    Parameters: `evictlab.traces.generate.registry.HELP`.
    """
    n_requests = whole_number("n_requests", n_requests, 1)
    n_objects = whole_number("n_objects", n_objects, 1, MAX_OBJECTS)
    dice = Dice(seed)
    return finish(dice.below(n_requests, n_objects), sizes, rate_per_s, seed, dice)
