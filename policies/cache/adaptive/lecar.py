"""LeCaR: throw away what LRU or what LFU would, by a coin whose weights learn from regret.

Each expert has a history of what was thrown away on its advice. A miss found in a history was that expert's mistake: the
other's weight grows by exp(rate * discount^t), t the requests since the eviction, and then the coin is tossed.

State: the residents in two orders, by last request and by count; two ghost queues.
Source: Vietri et al., "Driving cache replacement with ML-based LeCaR", HotStorage 2018, algorithm 1 and section 3, with
the authors' constants: rate 0.45, discount 0.005^(1/N).
Among equal counts LFU names the least recently used, as libCacheSim does; counts begin anew when an object returns. An
object that both experts name enters the history of the one that the coin chose.
Differs from libCacheSim, which keeps one history of N for both experts; the authors' later program keeps two of N/2,
restores counts, and keeps the weights within 0.01 and 0.99.

With byte sizes the histories count bytes and N in the discount stays the number of bytes, as in libCacheSim.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...buckets import Buckets, enter, leave, lowest_bucket, make_buckets, promote, second_order
from ...contract import helper, kernels, unsigned, weight
from ...ghost import Ghost, forget, make_ghost, remember, remembers
from ...random import random_unit
from ...registry import Policy, policy
from ...setting import Setting
from ...shelf import Shelf, bottom, push, unlink

__all__ = ["Lecar"]

_WEIGHT, _RATE, _LOG_DISCOUNT = 0, 1, 2
_TINY = 1e-10


class State(NamedTuple):
    """What LeCaR remembers.

    Attributes
    ----------
    counts : Buckets
        The residents by number of requests since they entered.
    recency : Shelf
        The same slots by last request.
    by_lru, by_lfu : Ghost
        What was thrown away on the advice of each expert.
    left_at : int32[n_objects]
        Index of the request for which the object was last thrown away.
    learnt : float64[3]
        Weight of LRU (that of LFU is the rest to 1), learning rate, logarithm of the discount.
    rng : uint64[1]
    stored : int64[n_objects] or None
    """

    counts: Buckets
    recency: Shelf
    by_lru: Ghost
    by_lfu: Ghost
    left_at: Any
    learnt: Any
    rng: Any
    stored: Any


@policy(
    title="LeCaR",
    year=2018,
    source="https://www.usenix.org/conference/hotstorage18/presentation/vietri",
    random=True,
)
@dataclass(frozen=True)
class Lecar(Policy):
    """LRU and LFU as experts, weighed by regret.

    Parameters
    ----------
    rate : float
        Learning rate, 0 or more.
    history : float
        Length of each expert's history, as a multiple of the cache.
    lru : float
        Weight of LRU at the start, 0 to 1.
    """

    rate: float = 0.45
    history: float = 1.0
    lru: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.rate < math.inf:
            raise UsageError(f"lecar: rate={self.rate}; expected 0 or more, for example rate=0.45")
        if not 0 <= self.history <= 100:
            raise UsageError(f"lecar: history={self.history}; expected 0 to 100 times the cache, for example history=1")
        if not 0 <= self.lru <= 1:
            raise UsageError(f"lecar: lru={self.lru} is no weight; expected 0 to 1, for example lru=0.5")

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        counts = make_buckets(setting.n_objects, setting.max_resident)
        length = int(self.history * setting.capacity)
        return State(
            counts,
            second_order(counts),
            make_ghost(setting, length),
            make_ghost(setting, length),
            np.zeros(setting.n_objects, np.int32),
            np.array([self.lru, self.rate, math.log(0.005) / setting.capacity]),
            setting.random_state(),
            setting.stored,
        )


def _find(state, obj):
    return state.recency.slot_of[obj] >= 0


def _hit(state, obj, now, size):
    slot = unsigned(state.recency.slot_of[obj])
    unlink(state.recency, slot)
    push(state.recency, 0, slot)
    promote(state.counts, slot)


def _admit(state, obj, now, size):
    """Learn from the history, if the missed object is in one."""
    lru = state.learnt[_WEIGHT]
    lfu = 1.0 - lru
    if remembers(state.by_lru, obj):
        forget(state.by_lru, obj)
        lfu *= _gain(state, obj, now)
    elif remembers(state.by_lfu, obj):
        forget(state.by_lfu, obj)
        lru *= _gain(state, obj, now)
    else:
        return True
    # A weight of exactly 0 could never grow again.
    state.learnt[_WEIGHT] = (lru + _TINY) / (lru + lfu + 2 * _TINY)
    return True


@helper
def _gain(state, obj, now):
    age = now - state.left_at[obj]
    return math.exp(state.learnt[_RATE] * math.exp(state.learnt[_LOG_DISCOUNT] * age))


def _insert(state, obj, now, size):
    push(state.recency, 0, enter(state.counts, obj, 1))


def _evict(state, obj, now, size):
    by_lru = random_unit(state.rng) < state.learnt[_WEIGHT]
    slot = bottom(state.recency, 0) if by_lru else bottom(state.counts.shelf, lowest_bucket(state.counts))
    unlink(state.recency, slot)
    victim = leave(state.counts, slot)
    state.left_at[victim] = now
    if by_lru:
        remember(state.by_lru, victim, weight(state.stored, victim))
    else:
        remember(state.by_lfu, victim, weight(state.stored, victim))
    return victim


kernels(State, _find, _hit, _insert, _evict, admit=_admit)
