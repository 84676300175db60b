"""QD-LP-FIFO: throw away quickly who is not requested in a probationary queue, and spare who is, but only at the end.

Quick demotion: newcomers pass a small FIFO queue; who was requested by its end moves to the main queue, the others leave and
are remembered by a ghost queue. Who returns while remembered enters the main queue at once. Lazy promotion: the main queue
is a CLOCK with two bits, nothing moves on a hit.

State: one byte per object, two circular queues, a ghost queue.
Source: Yang, Qiu, Zhang, Yue, Vigfusson, "FIFO can be better than LRU: the power of lazy promotion and quick demotion",
HotOS 2023, section 4.

The paper does not say which queue gives way when the cache is full but the newcomer's own queue is not. Here each keeps to
its share: the main queue gives way if the newcomer, or who is promoted for it, would make it exceed its share; otherwise the
small queue. Until the cache is full, the small queue may exceed its share. libCacheSim's QDLP instead always evicts from the
small queue while it has members, and a second time from the main queue when that overflows, so that its cache stays below
its capacity for a while.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...contract import kernels
from ...registry import Policy, policy
from ...setting import Setting
from ._stages import (
    BOUND_FOR_MAIN,
    MAIN,
    MAIN_SHARE,
    OUT,
    Stages,
    arrive,
    check_share,
    count_hit,
    enter_main,
    enter_small,
    evict_main,
    evict_small,
    main_is_empty,
    make_stages,
    small_is_empty,
)

__all__ = ["QdLp"]


class State(NamedTuple):
    """`stages`: the queues."""

    stages: Stages


@policy(title="QD-LP-FIFO", year=2023, source="https://doi.org/10.1145/3593856.3595887")
@dataclass(frozen=True)
class QdLp(Policy):
    """Quick demotion by a probationary FIFO, lazy promotion by a two-bit CLOCK.

    Parameters
    ----------
    small : float, 0 .. 1
        Share of the probationary queue in the capacity, rounded down, but at least 1.
    ghost : float, 0 .. 16
        Budget of the ghost queue, in capacities.
    """

    small: float = 0.1
    ghost: float = 0.9

    def __post_init__(self) -> None:
        check_share("qdlp", "small", self.small, 0, 1)
        check_share("qdlp", "ghost", self.ghost, 0, 16)

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        return State(make_stages(setting, self.small, self.ghost, promoted_at=1))


def _find(state, obj):
    return state.stages.mark[obj] != OUT


def _hit(state, obj, now, size):
    count_hit(state.stages, obj)


def _admit(state, obj, now, size):
    arrive(state.stages, obj)
    return True


def _insert(state, obj, now, size):
    if state.stages.held[BOUND_FOR_MAIN]:
        enter_main(state.stages, obj)
    else:
        enter_small(state.stages, obj)


def _evict(state, obj, now, size):
    held = state.stages.held
    coming = size if held[BOUND_FOR_MAIN] else 0
    while held[MAIN] + coming <= held[MAIN_SHARE] or main_is_empty(state.stages):
        if small_is_empty(state.stages):
            break
        victim = evict_small(state.stages)
        if victim >= 0:
            return victim
    return np.int64(evict_main(state.stages))


kernels(State, _find, _hit, _insert, _evict, admit=_admit)
