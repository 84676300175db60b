"""Clock2Q+: throw away quickly what was requested only in the moments after it entered.

As in S3-FIFO, newcomers pass a small FIFO queue, and those not requested there leave and are remembered by a ghost queue. But
requests soon after the first are correlated with it (one operation touches a block several times) and prove nothing: they
count only once at least `window` of the small queue's share has entered behind the object. One counted request earns
the main queue, a CLOCK with one bit.

State: one byte per object, the number of its entry, two circular queues, a ghost queue.
Source: Zhai et al., "Clock2Q+: a simple and efficient replacement algorithm for metadata cache in VMware vSAN", 2025,
arXiv:2511.21958.

Rules as in libCacheSim 0.3.5 (``Clock2QPlus``), with which this agrees request by request: entries into the small queue are
the clock; a full small queue spills into the main queue until the first eviction; the main queue gives way if it exceeds its
share or the small one is empty; shares are rounded down. It differs for capacities below 20, as S3-FIFO does.
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
    IN_MAIN,
    IN_SMALL,
    MAIN,
    MAIN_SHARE,
    OUT,
    SMALL,
    SMALL_SHARE,
    Stages,
    arrive,
    check_share,
    enter_main,
    enter_small,
    evict_main,
    evict_small,
    make_stages,
    small_is_empty,
)

__all__ = ["Clock2QPlus"]

_ENTRIES, _FILLING = 0, 1


class State(NamedTuple):
    """What Clock2Q+ remembers.

    Attributes
    ----------
    stages : Stages
        The queues.
    entered : int64[n_objects]
        Number of the object's entry into the small queue.
    clock : int64[2]
        Entries into the small queue so far; 1 while a full small queue spills into the main queue.
    window : float64[1]
        Entries behind an object during which its requests do not count.
    """

    stages: Stages
    entered: Any
    clock: Any
    window: Any


@policy(title="Clock2Q+", year=2025, source="https://arxiv.org/abs/2511.21958", sizes=False)
@dataclass(frozen=True)
class Clock2QPlus(Policy):
    """S3-FIFO with a correlation window; for objects of one size, since the window is counted in entries.

    Parameters
    ----------
    small : float, 0 .. 1
        Share of the small queue in the capacity, rounded down, but at least 1.
    ghost : float, 0 .. 16
        Budget of the ghost queue, in capacities.
    window : float, 0 .. 1
        Correlation window, in shares of the small queue.
    """

    small: float = 0.1
    ghost: float = 0.9
    window: float = 0.5

    def __post_init__(self) -> None:
        check_share("clock2q_plus", "small", self.small, 0, 1)
        check_share("clock2q_plus", "ghost", self.ghost, 0, 16)
        check_share("clock2q_plus", "window", self.window, 0, 1)

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        stages = make_stages(setting, self.small, self.ghost, promoted_at=1)
        window = np.array([stages.held[SMALL_SHARE] * self.window])
        return State(stages, np.zeros(setting.n_objects, np.int64), np.array([0, 1]), window)


def _find(state, obj):
    return state.stages.mark[obj] != OUT


def _hit(state, obj, now, size):
    mark = state.stages.mark[obj]
    if mark == IN_MAIN:
        state.stages.mark[obj] = IN_MAIN + 1
    elif mark == IN_SMALL and state.clock[_ENTRIES] - state.entered[obj] >= state.window[0]:
        state.stages.mark[obj] = IN_SMALL + 1


def _admit(state, obj, now, size):
    arrive(state.stages, obj)
    return True


def _insert(state, obj, now, size):
    held = state.stages.held
    if held[BOUND_FOR_MAIN] or (state.clock[_FILLING] and held[SMALL] >= held[SMALL_SHARE]):
        enter_main(state.stages, obj)
    else:
        enter_small(state.stages, obj)
        state.clock[_ENTRIES] += 1
        state.entered[obj] = state.clock[_ENTRIES]


def _evict(state, obj, now, size):
    state.clock[_FILLING] = 0
    held = state.stages.held
    if held[MAIN] <= held[MAIN_SHARE]:
        while not small_is_empty(state.stages):
            victim = evict_small(state.stages)
            if victim >= 0:
                return victim
    return np.int64(evict_main(state.stages))


kernels(State, _find, _hit, _insert, _evict, admit=_admit)
