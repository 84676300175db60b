"""AdaptiveQuery-b: draw b of the unmarked, and throw away the one of them that is predicted last.

Marking: a request marks; when room is needed and everybody is marked, all marks are wiped and a phase begins. For each
victim only b predictions are looked at (or all, if fewer are unmarked): those of b unmarked objects drawn without
replacement; the one predicted last goes, of equals the one in the highest slot. Misses form chains as in
`predictive_marker`: when the victim of one is requested again in the same phase, its miss is the next. After more than
``ln k`` steps along a chain, nothing is asked and one of the unmarked is drawn.

Guarantee (objects of one size, capacity k): expected misses ``O(log_{b+1} k)`` times the optimum's with perfect
predictions, ``O(log k)`` with any.

``b=1`` is `marker` but for the random numbers. The paper asks for a prediction at the time of the eviction; here it is
the one that came with the object's last request. That the logarithm is natural, and that chains end with their phase,
is our reading.

State: see `_marking`; by object the steps along the chain that threw it away.
Source: Im, Kumar, Petety, Purohit, "Parsimonious learning-augmented caching", ICML 2022.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...contract import kernels
from ...registry import Policy, policy
from ...setting import Setting
from ._marking import Marking, begin_phase_if_due, drawn, due_last_of, enter, is_stale, leave, make_marking, touch

__all__ = ["AdaptiveQuery"]


class State(NamedTuple):
    """What AdaptiveQuery remembers.

    Attributes
    ----------
    marking : Marking
    depth : int32[n_objects]
        Steps along the chain that threw the object away last.
    limits : float64[2]
        How many to draw, and how many steps go by the predictions.
    """

    marking: Marking
    depth: Any
    limits: Any


@policy(
    title="AdaptiveQuery",
    year=2022,
    source="https://proceedings.mlr.press/v162/im22a.html",
    sizes=False,
    random=True,
    predictions="next_use",
)
@dataclass(frozen=True)
class AdaptiveQuery(Policy):
    """Few predicted times: mark, draw b, and believe what is predicted of these.

    Parameters
    ----------
    b : int
        How many predictions are looked at for a victim.
    """

    b: int = 2

    def __post_init__(self) -> None:
        if self.b < 1:
            raise UsageError(f"adaptive_query: b={self.b} draws nobody; give 1 or more")

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        return State(
            make_marking(setting, with_heap=False),
            np.zeros(setting.n_objects, np.int32),
            np.array([self.b, math.log(max(setting.max_resident, 1))], np.float64),
        )


def _find(state, obj):
    return state.marking.slot_of[obj] >= 0


def _hit(state, obj, now, size):
    touch(state.marking, obj, now)


def _insert(state, obj, now, size):
    enter(state.marking, obj, now)


def _evict(state, obj, now, size):
    begin_phase_if_due(state.marking)
    depth = state.depth[obj] if is_stale(state.marking, obj) else 0
    asks = depth <= state.limits[1]
    victim = leave(state.marking, due_last_of(state.marking, state.limits[0]) if asks else drawn(state.marking))
    state.depth[victim] = depth + 1
    return victim


kernels(State, _find, _hit, _insert, _evict)
