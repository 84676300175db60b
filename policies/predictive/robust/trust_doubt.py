"""Trust&Doubt: throw away, for each clean newcomer, somebody whom the predicted cache does not hold, as long as that goes well.

The predicted cache is that of `blind_oracle` after this request. A phase ends with the request that would be for the (k+1)-st
distinct object in it. At its beginning the residents are *ancient* if they were not requested in the phase before, else
*stale*; a first arrival that is not stale is *clean*.

- While there are ancient ones, they leave: first those whom the predicted cache does not hold, the least recently used first.
- Then a miss evicts the unmarked (not yet requested) stale resident with the lowest priority; priorities are random, drawn anew
  in each phase.
- Each clean q gets an object p(q) of its own: the least recently used of the unmarked stale and the arrived, whom the predicted
  cache does not hold and who is nobody else's. It is *trusted*: p(q) is evicted, and the unmarked stale object of highest
  priority that was thrown away (and is no trusted p) comes back in its place.
- When p(q) is requested, q gets another one, and is *doubted* for as many arrivals as its interval is long (1 at first):
  p(q) may stay meanwhile. Then it is trusted again, and the interval is twice as long next time.

All this describes a model that may fetch without being asked. The cache follows the model lazily, as the analysis wants: on a
miss it evicts, of those whom the model does not hold, the least recently used.

Guarantee (eta: sum over time of the objects by which predicted cache and an offline algorithm OFF differ): expected misses
``O(min(1 + log(1 + eta/OFF), log k))`` times OFF's.

Source: Antoniadis, Coester, Eliáš, Polák, Simon, "Online metric algorithms with untrusted predictions", ICML 2020.
The paper leaves open whom to take for p(q) and among the ancient: least recently used, as in the authors' experiments. There
the number of misses with perfect predictions depends on no random number; here it does not either, and is the same.
Only doubted intervals are timed: a trusted p(q) is out of the model and cannot come back but by a request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...bitset import Bitset, add, largest, make_bitset, remove
from ...contract import find, helper, kernels
from ...random import random_below
from ...registry import Policy, policy
from ...setting import Setting
from ...shadow import (
    NOBODY,
    Recent,
    Shadow,
    apart,
    drop,
    has,
    is_marked,
    make_recent,
    make_shadow,
    mark,
    oldest,
    swap,
    touch,
    unmark,
)
from ..arrivals.blind_oracle import BlindOracle
from ._lazy import evict_lazily, find_in_cache, insert_in_cache

__all__ = ["TrustDoubt"]

_PHASE, _ARRIVED, _CLEAN, _ANCIENT, _FREE = 0, 1, 2, 3, 4
_CANDIDATES, _ANCIENTS, _UNPREDICTED_ANCIENTS = 0, 1, 2  # subsets of `pages`
_END = -1


class Clean(NamedTuple):
    """The clean objects of this phase, numbered as they came.

    Attributes
    ----------
    evicted : int32[k]
        p(q), -1 for none.
    doubted : uint8[k]
    length : int64[k]
        Arrivals for which it is doubted next time.
    due : int64[k]
        Of the doubted: the arrival at which it is trusted again.
    later : int32[k]
        The next one that is due at the same arrival.
    first : int32[k + 1]
        By arrival: the first one that is due.
    """

    evicted: Any
    doubted: Any
    length: Any
    due: Any
    later: Any
    first: Any


class State(NamedTuple):
    """What Trust&Doubt remembers.

    Attributes
    ----------
    predicted : Shadow
        The predicted cache.
    cache : Recent
        The residents; subset 0: those whom the model does not hold.
    pages : Recent
        Ancient, unmarked stale and arrived objects. Subsets: whom a clean one can get; the ancient; those of the ancient
        whom the predicted cache does not hold.
    model : uint8[n_objects]
        Whom the model holds.
    arrived, stale : int32[n_objects]
        The last phase in which the object arrived, or was stale.
    rank : int32[n_objects]
        Priority of a stale object.
    ranked : int32[k]
        The stale objects by priority.
    here : Bitset
        Unmarked stale objects in the model, by priority from above: the lowest is the largest.
    away : Bitset
        Unmarked stale objects that are neither in the model nor trusted to be out, by priority.
    owner : int32[n_objects]
        Whose p(q) the object is, -1 for nobody's.
    clean : Clean
    counts : int64[5]
        Number of the phase; arrived, clean and ancient objects; room in the model.
    rng : uint64[1]
    """

    predicted: Shadow
    cache: Recent
    pages: Recent
    model: Any
    arrived: Any
    stale: Any
    rank: Any
    ranked: Any
    here: Bitset
    away: Bitset
    owner: Any
    clean: Clean
    counts: Any
    rng: Any


@policy(
    title="Trust&Doubt",
    year=2020,
    source="https://proceedings.mlr.press/v119/antoniadis20a.html",
    sizes=False,
    random=True,
    predictions="next_use",
)
@dataclass(frozen=True)
class TrustDoubt(Policy):
    """Trust the predicted cache for each clean object apart, and doubt it twice as long after each disappointment."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        n, k = setting.n_objects, setting.max_resident
        return State(
            make_shadow(BlindOracle(), apart(setting, 1)),
            make_recent(n, k),
            make_recent(n, 3 * k, subsets=3),
            np.zeros(n, np.uint8),
            np.full(n, -1, np.int32),
            np.full(n, -1, np.int32),
            np.zeros(n, np.int32),
            np.zeros(k, np.int32),
            make_bitset(k),
            make_bitset(k),
            np.full(n, -1, np.int32),
            Clean(
                np.full(k, NOBODY, np.int32),
                np.zeros(k, np.uint8),
                np.zeros(k, np.int64),
                np.zeros(k, np.int64),
                np.zeros(k, np.int32),
                np.full(k + 1, _END, np.int32),
            ),
            np.array([0, 0, 0, 0, k], np.int64),
            setting.random_state(),
        )


@helper
def _is_unmarked_stale(state, obj):
    phase = state.counts[_PHASE]
    return state.stale[obj] == phase and state.arrived[obj] != phase


@helper
def _is_trusted_out(state, obj):
    q = state.owner[obj]
    return q >= 0 and state.clean.doubted[q] == 0


@helper
def _here(state, rank):
    return len(state.ranked) - 1 - np.int64(rank)


@helper
def _note(state, obj):
    """Keep the two sets of unmarked stale objects up to date after something changed about this one."""
    rank = np.int64(state.rank[obj])
    if state.stale[obj] != state.counts[_PHASE]:
        return
    remove(state.here, _here(state, rank))
    remove(state.away, rank)
    if _is_unmarked_stale(state, obj):
        if state.model[obj]:
            add(state.here, _here(state, rank))
        elif not _is_trusted_out(state, obj):
            add(state.away, rank)


@helper
def _exchange(state, victim, obj):
    """Let the model evict one and take another."""
    state.model[victim] = 0
    mark(state.cache, 0, victim)
    state.model[obj] = 1
    unmark(state.cache, 0, obj)
    _note(state, victim)
    _note(state, obj)


@helper
def _clear(bits):
    for at in range(len(bits.words)):
        bits.words[at] = 0


@helper
def _begin_phase(state):
    pages, counts, clean = state.pages, state.counts, state.clean
    for q in range(counts[_CLEAN]):
        if clean.evicted[q] >= 0:
            state.owner[clean.evicted[q]] = -1
    for at in range(len(clean.first)):
        clean.first[at] = _END
    for which in range(len(pages.words)):
        for at in range(pages.words.shape[1]):
            pages.words[which, at] = 0
    _clear(state.here)
    _clear(state.away)
    old = counts[_PHASE]
    counts[_PHASE] = old + 1
    counts[_ARRIVED] = 0
    counts[_CLEAN] = 0
    counts[_ANCIENT] = 0
    n_stale = 0
    for at in range(pages.next[0]):
        obj = pages.row[at]
        if pages.place[obj] != at:
            continue
        if state.model[obj] == 0:
            pages.place[obj] = -1
            continue
        predicted = find(state.predicted.inner, obj)
        if state.arrived[obj] == old:
            state.stale[obj] = old + 1
            state.ranked[n_stale] = obj
            n_stale += 1
            if not predicted:
                mark(pages, _CANDIDATES, obj)
        else:
            counts[_ANCIENT] += 1
            mark(pages, _ANCIENTS, obj)
            if not predicted:
                mark(pages, _UNPREDICTED_ANCIENTS, obj)
    for rank in range(n_stale):
        other = rank + random_below(state.rng, n_stale - rank)
        obj = state.ranked[other]
        state.ranked[other] = state.ranked[rank]
        state.ranked[rank] = obj
        state.rank[obj] = rank
        add(state.here, _here(state, rank))


@helper
def _assign(state, q):
    """Find a p(q) for a clean object."""
    chosen = oldest(state.pages, _CANDIDATES)
    state.clean.evicted[q] = chosen
    if chosen >= 0:
        unmark(state.pages, _CANDIDATES, chosen)
        state.owner[chosen] = q


@helper
def _trust(state, q):
    """Let the model evict p(q), and take back somebody stale instead."""
    state.clean.doubted[q] = 0
    chosen = np.int64(state.clean.evicted[q])
    if chosen < 0:
        return
    _note(state, chosen)
    if state.model[chosen]:
        rank = largest(state.away)
        _exchange(state, chosen, np.int64(state.ranked[rank]))


@helper
def _doubt(state, q):
    """Time an interval of doubt, in order of the numbers of those that end together."""
    clean = state.clean
    if clean.doubted[q] and clean.due[q] < len(clean.first):  # doubted already: it starts anew
        before, at = _END, clean.first[clean.due[q]]
        while at != q:
            before, at = at, clean.later[at]
        if before == _END:
            clean.first[clean.due[q]] = clean.later[q]
        else:
            clean.later[before] = clean.later[q]
    clean.doubted[q] = 1
    due = state.counts[_ARRIVED] + clean.length[q]
    clean.due[q] = due
    if due < len(clean.first):
        before, at = _END, clean.first[due]
        while at != _END and at < q:
            before, at = at, clean.later[at]
        clean.later[q] = at
        if before == _END:
            clean.first[due] = q
        else:
            clean.later[before] = q


@helper
def _learn(state, obj, now):
    counts, clean, pages = state.counts, state.clean, state.pages
    gone = swap(state.predicted, obj, now)
    if gone != NOBODY and has(pages, gone):
        if is_marked(pages, _ANCIENTS, gone):
            mark(pages, _UNPREDICTED_ANCIENTS, gone)
        elif state.owner[gone] < 0:
            mark(pages, _CANDIDATES, gone)
    is_first = state.arrived[obj] != counts[_PHASE]
    if is_first and counts[_ARRIVED] == len(state.ranked):
        _begin_phase(state)
    ancient = counts[_PHASE] == 0 or counts[_ANCIENT] > 0
    if has(pages, obj) and is_marked(pages, _ANCIENTS, obj):
        counts[_ANCIENT] -= 1
    if is_first:
        state.arrived[obj] = counts[_PHASE]
        counts[_ARRIVED] += 1
        _note(state, obj)
    touch(pages, obj)
    missed = state.model[obj] == 0
    if ancient:
        if missed:
            if counts[_FREE] > 0:
                counts[_FREE] -= 1
                state.model[obj] = 1
            else:
                victim = oldest(pages, _UNPREDICTED_ANCIENTS)
                if victim == NOBODY:
                    victim = oldest(pages, _ANCIENTS)
                counts[_ANCIENT] -= 1
                drop(pages, victim)
                _exchange(state, victim, obj)
        return
    is_clean = is_first and state.stale[obj] != counts[_PHASE]
    if missed:
        rank = _here(state, largest(state.here))
        _exchange(state, np.int64(state.ranked[rank]), obj)
    new = counts[_CLEAN]
    if is_clean:
        counts[_CLEAN] = new + 1
        clean.length[new] = 1
        clean.doubted[new] = 0
        _assign(state, new)
        if clean.evicted[new] >= 0:
            _note(state, clean.evicted[new])
    q = np.int64(state.owner[obj])
    if q >= 0:
        state.owner[obj] = -1
        _doubt(state, q)
        _assign(state, q)
    if is_first:
        q = np.int64(clean.first[counts[_ARRIVED]])
        while q != _END:
            clean.length[q] *= 2
            _trust(state, q)
            q = np.int64(clean.later[q])
        if is_clean:
            _trust(state, new)


def _hit(state, obj, now, size):
    _learn(state, obj, now)
    touch(state.cache, obj)  # the model holds it


def _admit(state, obj, now, size):
    _learn(state, obj, now)
    return True


kernels(State, find_in_cache, _hit, insert_in_cache, evict_lazily, admit=_admit)
