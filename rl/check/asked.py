"""The learned policy as NGINX's module asks for it: a decision names several victims.

The policy `cold_rl` is asked for one at a time, when one enters. The cache manager comes later: its candidates are the oldest
and the newest of the queue and some that are drawn, and those of the highest value go until there is room, at most one in
eight; then it asks again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...policies.cache.learned.cold_rl import ColdRl
from ...policies.contract import helper, kernels, weight
from ...policies.learned.candidates import Candidates, enter, is_resident, leave, make_candidates, miss, touch
from ...policies.learned.facts import MISSING, describe, hits_of, time_of
from ...policies.learned.model import read_metadata, read_weights
from ...policies.learned.network import make_network, value
from ...policies.random import random_below
from ...policies.setting import Setting
from ...policies.shelf import newer, newest, older, oldest

__all__ = ["AsAsked"]

_RESIDENTS, _DECISIONS, _CAPACITY, _TAIL = 0, 2, 3, 4
"""Places in `Candidates.numbers`."""

_NAMED, _GONE, _HELD, _NEWEST = range(4)
_LONGEST_WALK = 256
"""Entries of the queue that the module looks at in search of new ones."""
_SHARE = 8
"""At most one candidate in so many goes at a time, as `evictlab.rl.sidecar.victims` has it."""


class State(NamedTuple):
    """A cache and its network.

    Attributes
    ----------
    cache : Candidates
    network : SetNetwork or FlatNetwork
    named : int32[k]
        Victims of the last decision.
    numbers : int64[4]
        How many these are, how many of them have gone, bytes held, and how many candidates are from the new end.
    """

    cache: Candidates
    network: Any
    named: Any
    numbers: Any


@dataclass(frozen=True)
class AsAsked(ColdRl):
    """`cold_rl` behind the module.

    Parameters
    ----------
    model : str
        As for `cold_rl`.
    newest : int
        Candidates from the new end of the queue.
    """

    newest: int = 8

    def make(self, setting: Setting) -> Any:
        """Return an empty cache."""
        known = read_metadata(self.folder)
        return State(
            make_candidates(setting, known.k, known.tail),
            make_network(known.network, read_weights(self.folder), known.k),
            np.zeros(known.k, np.int32),
            np.array([0, 0, 0, self.newest], np.int64),
        )


@helper
def _add(cache, n, obj):
    """Add a candidate that is none yet; return how many there are then."""
    if cache.seen[obj] == cache.numbers[_DECISIONS]:
        return n
    cache.who[n] = obj
    cache.seen[obj] = cache.numbers[_DECISIONS]
    return n + 1


@helper
def _choose(cache, now, n_newest, need):
    """Choose and describe the candidates; return how many there are."""
    k, count = len(cache.who), cache.numbers[_RESIDENTS]
    cache.numbers[_DECISIONS] += 1
    n = 0
    slot = np.int64(oldest(cache.shelf, 0))
    while slot >= 0 and n < (k if count <= k else cache.numbers[_TAIL]):
        n = _add(cache, n, cache.shelf.obj_of[slot])
        slot = np.int64(newer(cache.shelf, slot))
    slot = np.int64(newest(cache.shelf, 0))
    found = 0
    for _ in range(_LONGEST_WALK):
        if slot < 0 or n >= k or found >= n_newest:
            break
        obj = cache.shelf.obj_of[slot]
        if hits_of(cache.facts, obj) == 0:  # what was asked for again is not new, it only stands where the new ones are
            n = _add(cache, n, obj)
            found += 1
        slot = np.int64(older(cache.shelf, slot))
    tries = 4 * (k - n)
    while count > k and n < k and tries > 0:
        tries -= 1
        n = _add(cache, n, cache.residents[random_below(cache.rng, count)])
    t = time_of(cache.facts, now)
    for i in range(n):
        describe(cache.facts, cache.who[i], t, weight(cache.stored, cache.who[i]), cache.rows[i])
    for i in range(n, k):
        for j in range(cache.rows.shape[1]):
            cache.rows[i, j] = MISSING
    cache.context[0] = cache.facts.clock[2]
    cache.context[1] = cache.numbers[_CAPACITY]
    cache.context[2] = count
    cache.context[3] = need
    return n


@helper
def _decide(state, now):
    """Name victims by falling value until there is room."""
    cache, numbers, q = state.cache, state.numbers, state.network.q
    need = max(numbers[_HELD] - cache.numbers[_CAPACITY] + 1, 0)
    n = _choose(cache, now, numbers[_NEWEST], need)
    value(state.network, cache.rows, cache.context, n)
    numbers[_NAMED] = 0
    numbers[_GONE] = 0
    freed = 0.0
    for _ in range(max(1, n // _SHARE)):
        best = -1
        for i in range(n):
            if cache.seen[cache.who[i]] == cache.numbers[_DECISIONS] and (best < 0 or q[i] > q[best]):
                best = i
        if best < 0:
            break
        cache.seen[cache.who[best]] = 0  # no candidate any more
        state.named[numbers[_NAMED]] = cache.who[best]
        numbers[_NAMED] += 1
        freed += cache.rows[best, 1]
        if freed >= need:
            break


def _find(state, obj):
    return is_resident(state.cache, obj)


def _hit(state, obj, now, size):
    touch(state.cache, obj, now)


def _admit(state, obj, now, size):
    miss(state.cache, obj, now)
    return True


def _insert(state, obj, now, size):
    enter(state.cache, obj)
    state.numbers[_HELD] += size


def _evict(state, obj, now, size):
    numbers = state.numbers
    victim = obj
    gone = False
    while not gone:
        if numbers[_GONE] >= numbers[_NAMED]:
            _decide(state, now)
        victim = state.named[numbers[_GONE]]
        numbers[_GONE] += 1
        gone = is_resident(state.cache, victim)
    numbers[_HELD] -= weight(state.cache.stored, victim)
    leave(state.cache, victim)
    return victim


kernels(State, _find, _hit, _insert, _evict, admit=_admit)
