"""What S3-FIFO and its relatives share: a small FIFO queue to prove oneself in, a main CLOCK, and a ghost queue.

The policies differ in which hits count, how many it takes to be promoted, and which stage gives way; each says that in its
own file. One byte per object holds its stage and how often it was requested there; a hit touches nothing else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...contract import helper, weight
from ...ghost import Ghost, forget, make_ghost, remember, remembers
from ...ring import Ring, length, make_ring, pop, push
from ...setting import Setting

__all__ = [
    "BOUND_FOR_MAIN",
    "IN_MAIN",
    "IN_SMALL",
    "MAIN",
    "MAIN_SHARE",
    "OUT",
    "SMALL",
    "SMALL_SHARE",
    "Stages",
    "arrive",
    "check_share",
    "count_hit",
    "enter_main",
    "enter_small",
    "evict_main",
    "evict_small",
    "main_is_empty",
    "make_stages",
    "small_is_empty",
]

OUT, IN_SMALL, IN_MAIN = 0, 4, 8
"""Marks of an object that has not been requested since it entered its stage; requests, at most 3, are added."""
_MOST_COUNTED = 3

SMALL, MAIN, SMALL_SHARE, MAIN_SHARE, BOUND_FOR_MAIN, PROMOTED_AT = range(6)
"""Places in `held`."""


class Stages(NamedTuple):
    """Two queues of residents, and one of those who did not prove themselves.

    Attributes
    ----------
    mark : uint8[n_objects]
        Stage and number of requests in it.
    small, main : Ring
        Residents, in order of entry (in `main`: of the last survived round).
    ghost : Ghost
        Evicted from `small`.
    held : int64[6], bytes, or objects when sizes are off
        Weight of `small` and `main`, their shares of the capacity; then whether the newcomer was remembered by the ghost
        (0 or 1), and the mark in `small` from which an object is promoted.
    stored : int64[n_objects], bytes, or None
        The setting's.
    """

    mark: Any
    small: Ring
    main: Ring
    ghost: Ghost
    held: Any
    stored: Any


def check_share(policy: str, name: str, value: float, low: float, high: float) -> None:
    """Refuse a parameter outside low .. high.

    Raises
    ------
    UsageError
        Naming the policy, the parameter and its range.
    """
    if not low <= value <= high:
        raise UsageError(f"{policy}: {name}={value} is not within {low} .. {high}")


def make_stages(setting: Setting, small: float, ghost: float, promoted_at: int) -> Stages:
    """Return empty stages; `small` and `ghost` are shares of the capacity, rounded down, `small` to at least 1."""
    small_share = max(1, int(setting.capacity * small))
    return Stages(
        np.zeros(setting.n_objects, np.uint8),
        make_ring(setting.max_resident),
        make_ring(setting.max_resident),
        make_ghost(setting, int(setting.capacity * ghost)),
        np.array([0, 0, small_share, setting.capacity - small_share, 0, IN_SMALL + promoted_at], np.int64),
        setting.stored,
    )


@helper
def count_hit(stages, obj):
    """Count a request of a resident, up to 3."""
    mark = stages.mark[obj]
    if mark & _MOST_COUNTED != _MOST_COUNTED:
        stages.mark[obj] = mark + 1


@helper
def arrive(stages, obj):
    """Look the missed object up in the ghost queue, and take it out of there, before anybody is evicted."""
    known = remembers(stages.ghost, obj)
    if known:
        forget(stages.ghost, obj)
    stages.held[BOUND_FOR_MAIN] = known


@helper
def enter_small(stages, obj):
    """Put a newcomer into the small queue."""
    push(stages.small, obj)
    stages.mark[obj] = IN_SMALL
    stages.held[SMALL] += weight(stages.stored, obj)


@helper
def enter_main(stages, obj):
    """Put a newcomer, or an object just taken from the small queue, into the main queue; it starts at 0 requests."""
    push(stages.main, obj)
    stages.mark[obj] = IN_MAIN
    stages.held[MAIN] += weight(stages.stored, obj)


@helper
def evict_main(stages):
    """Evict from the main queue, which must not be empty: who was requested pays one request for another round."""
    while True:
        obj = pop(stages.main)
        mark = stages.mark[obj]
        if mark == IN_MAIN:
            stages.mark[obj] = OUT
            stages.held[MAIN] -= weight(stages.stored, obj)
            return obj
        stages.mark[obj] = mark - 1
        push(stages.main, obj)


@helper
def evict_small(stages):
    """Take the oldest out of the small queue: return it if it leaves for the ghost queue, -1 if it was promoted."""
    obj = pop(stages.small)
    size = weight(stages.stored, obj)
    stages.held[SMALL] -= size
    if stages.mark[obj] >= stages.held[PROMOTED_AT]:
        enter_main(stages, obj)
        return -1
    stages.mark[obj] = OUT
    remember(stages.ghost, obj, size)
    return np.int64(obj)


@helper
def small_is_empty(stages):
    """Tell whether nobody is in the small queue."""
    return length(stages.small) == 0


@helper
def main_is_empty(stages):
    """Tell whether nobody is in the main queue."""
    return length(stages.main) == 0
