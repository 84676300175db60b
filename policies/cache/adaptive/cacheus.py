"""CACHEUS: throw away what a scan-resistant LRU or a churn-resistant LFU would, by a coin that learns how fast to learn.

SR-LRU: newcomers enter SR, whose oldest is its victim; what is requested again there, or returns from its history, goes
to R, and R demotes its oldest to SR. A demoted object that is requested again asks for a larger R, a new one that returns
from the history for a larger SR. CR-LFU: the least count, and among equals the most recent; counts survive in the
histories. As in LeCaR a miss found in an expert's history costs that expert weight, by a rate that climbs the hit ratio.

State: the residents in two orders (R and SR by last request; by count), a shelf of histories, eleven numbers.
Source: Rodriguez et al., "Learning cache replacement with CACHEUS", FAST 2021, sections 4 and 5, algorithms 1 to 3; where
the text is silent the authors' program: SR begins with 1 % of the cache, the cache first fills R, the histories hold N/2
each, an object named by both experts enters neither, weights stay within 0.01 and 0.99, the rate within 0.001 and 1.
Differs from that program in the first rate (random, as in the text), and in restoring a returning object's count plus 1;
from libCacheSim, whose SR begins with half of the cache and whose rate hardly moves (integer division).

Objects count 1: the sizes of R and SR move by whole objects, so traces with byte sizes are refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...buckets import Buckets, count_of, enter, leave, lowest_bucket, make_buckets, promote, second_order
from ...contract import helper, kernels
from ...random import random_unit
from ...registry import Policy, policy
from ...setting import Setting
from ...shelf import Shelf, give_back, make_shelf, newest, oldest, push, take, unlink

__all__ = ["Cacheus"]

_R, _SR = 0, 1
_BY_LRU, _BY_LFU = 0, 1
_DEMOTED, _NEW = 1, 2
_IN_R, _IN_SR, _R_LIMIT, _CAPACITY, _N_DEMOTED, _N_NEW, _FILLING, _RETURNING, _SEEN, _HITS, _UNLEARNT = range(11)
_LRU_WEIGHT, _RATE, _RATE_BEFORE, _HIT_RATIO_BEFORE = range(4)
_LEAST_RATE, _LEAST_WEIGHT, _PATIENCE = 1e-3, 0.01, 10


class State(NamedTuple):
    """What CACHEUS remembers.

    Attributes
    ----------
    counts : Buckets
        The residents by number of requests.
    recency : Shelf
        The same slots in two lists, R and SR, by last request.
    part, flags : uint8[most residents]
        By slot: its list; sum of 1 demoted from R and 2 new (entered SR and was not requested since).
    gone : Shelf
        The histories: thrown away by LRU, and by LFU.
    gone_from : uint8[ghosts]
        By slot of `gone`: the history.
    gone_count : int64[ghosts]
        By slot of `gone`: number of requests.
    gone_new : uint8[ghosts]
        By slot of `gone`: 1 for what was new.
    room : int64[3]
        Length of the histories, number of entries of each.
    scalars : int64[11]
        Objects in R and in SR, limit of R, capacity, demoted objects in SR, new ones in the history of LRU, 1 until the
        first eviction, count restored to the missed object (0: unknown), requests and hits in this period, and periods
        without progress.
    learnt : float64[4]
        Weight of LRU, rate, rate one period ago, hit ratio one period ago.
    rng : uint64[1]
    """

    counts: Buckets
    recency: Shelf
    part: Any
    flags: Any
    gone: Shelf
    gone_from: Any
    gone_count: Any
    gone_new: Any
    room: Any
    scalars: Any
    learnt: Any
    rng: Any


@policy(
    title="CACHEUS",
    year=2021,
    source="https://www.usenix.org/conference/fast21/presentation/rodriguez",
    sizes=False,
    random=True,
)
@dataclass(frozen=True)
class Cacheus(Policy):
    """Scan-resistant LRU and churn-resistant LFU as experts, with an adaptive learning rate."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        n, most, capacity = setting.n_objects, setting.max_resident, setting.capacity
        counts = make_buckets(n, most)
        length = min(capacity // 2, n)
        rng = setting.random_state()
        with np.errstate(over="ignore"):  # 64-bit words wrap on purpose
            rate = _any_rate(rng)
        r_limit = capacity - max(1, int(0.01 * capacity + 0.5))
        return State(
            counts,
            second_order(counts, 2),
            np.zeros(most, np.uint8),
            np.zeros(most, np.uint8),
            make_shelf(n, 2 * length, 2),
            np.zeros(2 * length, np.uint8),
            np.zeros(2 * length, np.int64),
            np.zeros(2 * length, np.uint8),
            np.array([length, 0, 0], np.int64),
            np.array([0, 0, r_limit, capacity, 0, 0, 1, 0, 0, 0, 0], np.int64),
            np.array([0.5, rate, 0.0, 0.0]),
            rng,
        )


def _find(state, obj):
    return state.recency.slot_of[obj] >= 0


def _hit(state, obj, now, size):
    _tick(state)
    state.scalars[_HITS] += 1
    slot = state.recency.slot_of[obj]
    promote(state.counts, slot)
    unlink(state.recency, slot)
    if state.part[slot] == _R:
        push(state.recency, _R, slot)
        return
    state.scalars[_IN_SR] -= 1
    if state.flags[slot] & _DEMOTED:
        _enlarge_r(state)
        state.scalars[_N_DEMOTED] -= 1
    state.flags[slot] = 0
    _put_in_r(state, slot)


def _admit(state, obj, now, size):
    """Learn from the history, if the missed object is in one; it leaves it."""
    _tick(state)
    scalars = state.scalars
    ghost = state.gone.slot_of[obj]
    if ghost < 0:
        scalars[_RETURNING] = 0
        return True
    scalars[_RETURNING] = state.gone_count[ghost] + 1
    punished = math.exp(-state.learnt[_RATE])
    lru = state.learnt[_LRU_WEIGHT]
    lfu = 1.0 - lru
    if state.gone_from[ghost] == _BY_LRU:
        lru *= punished
    else:
        lfu *= punished
    state.learnt[_LRU_WEIGHT] = min(max(lru / (lru + lfu), _LEAST_WEIGHT), 1.0 - _LEAST_WEIGHT)
    was_new = state.gone_new[ghost] == 1
    _forget(state, ghost)
    if was_new:
        _enlarge_sr(state)
    return True


def _insert(state, obj, now, size):
    scalars = state.scalars
    slot = enter(state.counts, obj, max(scalars[_RETURNING], 1))
    state.flags[slot] = 0
    starting = scalars[_FILLING] == 1
    if scalars[_RETURNING] > 0 or (starting and scalars[_IN_SR] == 0 and scalars[_IN_R] < scalars[_R_LIMIT]):
        _put_in_r(state, slot)
    else:
        if not (starting and scalars[_IN_SR] < scalars[_CAPACITY] - scalars[_R_LIMIT]):
            state.flags[slot] = _NEW
        _put_in_sr(state, slot)


@helper
def _put_in_sr(state, slot):
    state.part[slot] = _SR
    state.scalars[_IN_SR] += 1
    push(state.recency, _SR, slot)


@helper
def _put_in_r(state, slot):
    """Make a slot the newest of R; what R holds beyond its limit is demoted."""
    scalars = state.scalars
    state.part[slot] = _R
    scalars[_IN_R] += 1
    push(state.recency, _R, slot)
    while scalars[_IN_R] > scalars[_R_LIMIT]:
        demoted = oldest(state.recency, _R)
        unlink(state.recency, demoted)
        scalars[_IN_R] -= 1
        scalars[_N_DEMOTED] += 1
        state.flags[demoted] = _DEMOTED
        _put_in_sr(state, demoted)


@helper
def _enlarge_r(state):
    scalars = state.scalars
    step = max(1, int(scalars[_N_NEW] / max(scalars[_N_DEMOTED], 1) + 0.5))
    scalars[_R_LIMIT] = min(scalars[_R_LIMIT] + step, scalars[_CAPACITY] - 1)


@helper
def _enlarge_sr(state):
    scalars = state.scalars
    step = max(1, int(scalars[_N_DEMOTED] / max(scalars[_N_NEW], 1) + 0.5))
    scalars[_R_LIMIT] = max(scalars[_R_LIMIT] - step, min(1, scalars[_CAPACITY] - 1))


@helper
def _forget(state, ghost):
    unlink(state.gone, ghost)
    give_back(state.gone, ghost)
    state.room[1 + state.gone_from[ghost]] -= 1
    state.scalars[_N_NEW] -= state.gone_new[ghost]


@helper
def _remember(state, obj, history, count, new):
    if state.room[0] == 0:
        return
    if state.room[1 + history] == state.room[0]:
        _forget(state, oldest(state.gone, history))
    ghost = take(state.gone, obj)
    state.gone_from[ghost] = history
    state.gone_count[ghost] = count
    state.gone_new[ghost] = new
    state.scalars[_N_NEW] += new
    state.room[1 + history] += 1
    push(state.gone, history, ghost)


def _evict(state, obj, now, size):
    scalars = state.scalars
    scalars[_FILLING] = 0
    slot = oldest(state.recency, _SR)
    by_lfu = newest(state.counts.shelf, lowest_bucket(state.counts))
    agreed = slot == by_lfu
    history = _BY_LRU
    if not agreed and random_unit(state.rng) >= state.learnt[_LRU_WEIGHT]:
        slot = by_lfu
        history = _BY_LFU
    count = count_of(state.counts, slot)
    flags = state.flags[slot]
    scalars[_IN_R + state.part[slot]] -= 1
    if flags & _DEMOTED:
        scalars[_N_DEMOTED] -= 1
    unlink(state.recency, slot)
    victim = leave(state.counts, slot)
    if not agreed:
        _remember(state, victim, history, count, 1 if history == _BY_LRU and flags & _NEW else 0)
    return victim


@helper
def _tick(state):
    """Adapt the learning rate every N requests (algorithm 2)."""
    scalars = state.scalars
    learnt = state.learnt
    scalars[_SEEN] += 1
    if scalars[_SEEN] < scalars[_CAPACITY]:
        return
    hit_ratio = scalars[_HITS] / scalars[_CAPACITY]
    gain = hit_ratio - learnt[_HIT_RATIO_BEFORE]
    rate = learnt[_RATE]
    change = rate - learnt[_RATE_BEFORE]
    learnt[_RATE_BEFORE] = rate
    learnt[_HIT_RATIO_BEFORE] = hit_ratio
    if change != 0:
        step = abs(rate * change)
        if gain / change <= 0:
            step = -step
        learnt[_RATE] = min(max(rate + step, _LEAST_RATE), 1.0)
        scalars[_UNLEARNT] = 0
    else:
        if hit_ratio == 0 or gain <= 0:
            scalars[_UNLEARNT] += 1
        if scalars[_UNLEARNT] >= _PATIENCE:
            scalars[_UNLEARNT] = 0
            learnt[_RATE] = _any_rate(state.rng)
    scalars[_SEEN] = 0
    scalars[_HITS] = 0


@helper
def _any_rate(rng):
    return _LEAST_RATE + (1.0 - _LEAST_RATE) * random_unit(rng)


kernels(State, _find, _hit, _insert, _evict, admit=_admit)
