"""S3-FIFO: throw away quickly what was not requested again while it passed a small queue.

Newcomers enter a small FIFO queue; who was requested at least twice by its end moves to the main queue, the others are
evicted and remembered by a ghost queue. Who returns while remembered enters the main queue at once. The main queue is a
CLOCK with counters up to 3.

State: one byte per object, two circular queues, a ghost queue. A hit writes one byte, and none once three are counted.
Source: Yang, Zhang, Qiu, Yue, Vigfusson, "FIFO queues are all you need for cache eviction", SOSP 2023, algorithm 1.

Where the paper's text is silent, this file does what libCacheSim 0.3.5 (``S3FIFO``) does; they agree request by request, on
unit and on byte sizes:

- A ghost that returns gives its place back: the ghost queue always holds as much as its budget allows. Counting insertions
  instead (a ghost is forgotten after so many others, whoever returned meanwhile) forgets earlier, and is the whole
  difference between libCacheSim and implementations that else follow the same rules: 0.2039 instead of 0.2042 misses on
  Zipf(1.0), 10 M requests, 10 %. Least trace, with capacity 4 and ``small=0.5:ghost=0.5``: 1 2 3 4 5 6 2 1 5 6, where the
  last request hits, and misses if insertions are counted.
- The ghost is asked, and the object taken out of it, before anybody is evicted for it, so that its place is free for the
  victim. Asked at insertion, the object may have been pushed out by that very victim. Least trace, with
  ``small=0.5:ghost=0.75``: 1 2 3 4 5 6 7 1 6 7, where the last request hits, and misses if asked late.
- The main queue gives way if it exceeds its share, or the small one is empty; otherwise the small one. Caffeine asks the
  reverse question, so they differ when both are exactly at their shares.
- The small queue goes on promoting until somebody leaves for the ghost; a promoted object starts at 0 requests.
- Until the first eviction, a full small queue spills into the main queue (`spill`; the paper's authors' later version).
- Shares are rounded down. An object larger than the small queue is not admitted.

Differs from libCacheSim for capacities below 20: there the small queue rounds to 1, and an object as large as the small
queue is dropped after room was made for it, so that nothing is ever cached; below 10 it refuses to start. Here the small
queue holds at least 1, and an object that just fits is admitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...contract import kernels
from ...registry import Policy, policy
from ...setting import Setting
from ._stages import (
    BOUND_FOR_MAIN,
    MAIN,
    MAIN_SHARE,
    OUT,
    SMALL,
    SMALL_SHARE,
    Stages,
    arrive,
    check_share,
    count_hit,
    enter_main,
    enter_small,
    evict_main,
    evict_small,
    make_stages,
    small_is_empty,
)

__all__ = ["S3Fifo"]


class State(NamedTuple):
    """`stages`: the queues. `filling`: uint8[1], 1 while a full small queue spills into the main queue."""

    stages: Stages
    filling: Any


@policy(title="S3-FIFO", year=2023, source="https://doi.org/10.1145/3600006.3613147")
@dataclass(frozen=True)
class S3Fifo(Policy):
    """Three FIFO queues: small, main and ghost.

    Parameters
    ----------
    small : float, 0 .. 1
        Share of the small queue in the capacity.
    ghost : float, 0 .. 16
        Budget of the ghost queue, in capacities.
    promote : int, 1 .. 3
        Requests in the small queue that earn a place in the main queue.
    spill : bool
        Whether newcomers enter the main queue while the small one is full and nobody has been evicted yet.
    """

    small: float = 0.1
    ghost: float = 0.9
    promote: int = 2
    spill: bool = True

    def __post_init__(self) -> None:
        check_share("s3fifo", "small", self.small, 0, 1)
        check_share("s3fifo", "ghost", self.ghost, 0, 16)
        check_share("s3fifo", "promote", self.promote, 1, 3)

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        return State(make_stages(setting, self.small, self.ghost, self.promote), np.array([self.spill], np.uint8))


def _find(state, obj):
    return state.stages.mark[obj] != OUT


def _hit(state, obj, now, size):
    count_hit(state.stages, obj)


def _admit(state, obj, now, size):
    arrive(state.stages, obj)
    return size <= state.stages.held[SMALL_SHARE]


def _insert(state, obj, now, size):
    held = state.stages.held
    if held[BOUND_FOR_MAIN] or (state.filling[0] and held[SMALL] >= held[SMALL_SHARE]):
        enter_main(state.stages, obj)
    else:
        enter_small(state.stages, obj)


def _evict(state, obj, now, size):
    state.filling[0] = 0
    held = state.stages.held
    if held[MAIN] <= held[MAIN_SHARE]:
        while not small_is_empty(state.stages):
            victim = evict_small(state.stages)
            if victim >= 0:
                return victim
    return np.int64(evict_main(state.stages))


kernels(State, _find, _hit, _insert, _evict, admit=_admit)
