"""F&R: throw away what the prediction does not hold while that costs no more than Belady would pay; else mark for one phase.

The prediction is a whole cache, that of `blind_oracle` after this request. It is asked for seldom; P is what it was when it was
asked for last. A model switches between two algorithms.

- *Follower*: on a miss for an object that P does not hold, the prediction is asked for again, if the optimum of the requests so
  far rose with this request. If P holds the object now, somebody leaves whom P does not hold; if not, Robust begins.
- *Robust*, for k arrivals (first requests for distinct objects; this request is the first): the model loads the k objects
  requested last. Arrived objects are marked and stay. Arrivals number ``k - floor(k / 2^i) + 1`` begin windows, which halve
  in length; at each the prediction is asked for. On a miss for a clean object (not loaded at the beginning), or for one that
  the prediction held when the window began although the model did not, an unmarked object leaves that P does not hold, or if
  there is none any unmarked one; on any other miss a random unmarked one. Then Follower goes on with the same P.

The cache follows the model lazily, the least recently used of those whom the model does not hold to leave first.

Guarantee as stated by the authors: never worse than the optimum with perfect predictions, O(log k) times the optimum with any,
and few predictions asked for.

Source: Sadek, Eliáš, "Algorithms for caching and MTS with reduced number of predictions", ICLR 2024. We had its abstract, and
an implementation by others (OptiSys-ZJU/Cache-Coliseum, FollowerRobust); not the full text. Certain, because in that code: the
windows, asking at them, whom clean objects and those of the last prediction evict, k arrivals, P kept at the end, following
lazily. Our reading: every first request in the phase is an arrival (there: only misses); nobody marked is evicted (there:
possible); each miss of Follower is held against the optimum's of the same request (there: against a sum), which is exact here
(`evictlab.policies.layers`); whom to evict where the rule leaves it open: the least recently used (there: at random). The last
was chosen after seeing that it misses less on the Brightkite traces, so results there are no independent test of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...contract import find, helper, kernels
from ...layers import Layers, make_layers, request
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

__all__ = ["FollowerRobust"]

_UNPREDICTED, _ALL = 0, 1  # subsets of `pool`, and groups of `Groups`
_PHASE, _ARRIVED, _FREE, _CHANGED, _WINDOW, _UNUSED = 0, 1, 2, 3, 4, 5


class Groups(NamedTuple):
    """The pool once more, to draw from: first those whom P does not hold.

    Attributes
    ----------
    at : int32[n_objects]
        Where in `members` the object stands, -1 when it is not there.
    members : int32[k]
    counts : int64[2]
        Number of those whom P does not hold, and of all.
    """

    at: Any
    members: Any
    counts: Any


class State(NamedTuple):
    """What F&R remembers.

    Attributes
    ----------
    predicted : Shadow
        The predictor's cache.
    optimum : Layers
        Tells when the optimum of the requests so far rises.
    last : Recent
        The k objects requested last; subset 0: all.
    cache : Recent
        The residents; subset 0: those whom the model does not hold.
    pool : Recent
        Whom the model may evict: Follower anyone, Robust the unmarked. Subsets: whom P does not hold; all.
    groups : Groups
    model : uint8[n_objects]
        Whom the model holds.
    believed : uint8[n_objects]
        P.
    is_changed : uint8[n_objects]
        Whether it entered or left the predictor's cache since P was asked for.
    changed : int32[n_objects]
        Those objects.
    arrived, loaded, missing : int64[n_objects]
        The last phase in which the object arrived; at whose beginning the model loaded it; the last window (numbered by
        phase and arrival) at which P held it and the model did not.
    loaded_now : int32[k]
        What the model loaded.
    begins_window : uint8[k + 1]
        By arrival.
    counts : int64[6]
        Number of the phase (0: Follower, before the first; negative: Follower, after the phase of that number); arrivals;
        room in the model; objects in `changed`; number of the window; room in `last`.
    least_recent : uint8[1]
        1 = the open choices go to the least recently used, 0 = to a random one.
    rng : uint64[1]
    """

    predicted: Shadow
    optimum: Layers
    last: Recent
    cache: Recent
    pool: Recent
    groups: Groups
    model: Any
    believed: Any
    is_changed: Any
    changed: Any
    arrived: Any
    loaded: Any
    missing: Any
    loaded_now: Any
    begins_window: Any
    counts: Any
    least_recent: Any
    rng: Any


@policy(
    title="F&R",
    year=2024,
    source="https://arxiv.org/abs/2404.06280",
    sizes=False,
    random=True,
    predictions="next_use",
)
@dataclass(frozen=True)
class FollowerRobust(Policy):
    """Follow the prediction while it keeps up with the optimum so far; else mark for a phase and ask at times.

    Parameters
    ----------
    victim : str
        Who leaves where the algorithm leaves it open: lru, the least recently used, or random.
    """

    victim: str = "lru"

    def __post_init__(self) -> None:
        if self.victim not in ("lru", "random"):
            raise UsageError(f"follower_robust: victim={self.victim!r} is neither lru nor random")

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        n, k = setting.n_objects, setting.max_resident
        begins_window = np.zeros(k + 1, np.uint8)
        begins_window[[k - k // 2**i + 1 for i in range(k.bit_length())]] = 1
        return State(
            make_shadow(BlindOracle(), apart(setting, 1)),
            make_layers(n, setting.capacity),
            make_recent(n, k),
            make_recent(n, k),
            make_recent(n, k, subsets=2),
            Groups(np.full(n, -1, np.int32), np.zeros(k, np.int32), np.zeros(2, np.int64)),
            np.zeros(n, np.uint8),
            np.zeros(n, np.uint8),
            np.zeros(n, np.uint8),
            np.zeros(n, np.int32),
            np.zeros(n, np.int64),
            np.zeros(n, np.int64),
            np.full(n, -1, np.int64),
            np.zeros(k, np.int32),
            begins_window,
            np.array([0, 0, k, 0, 0, k], np.int64),
            np.array([self.victim == "lru"], np.uint8),
            setting.random_state(),
        )


# The pool: whom the model may evict.


@helper
def _put(groups, obj, at):
    groups.members[at] = obj
    groups.at[obj] = at


@helper
def _join(state, obj):
    """Take `obj` into the pool as the newest."""
    groups = state.groups
    touch(state.pool, obj)
    mark(state.pool, _ALL, obj)
    end = groups.counts[_ALL]
    groups.counts[_ALL] = end + 1
    _put(groups, obj, end)
    if not state.believed[obj]:
        _disbelieve(state, obj)


@helper
def _quit(state, obj):
    """Take `obj` out of the pool."""
    groups = state.groups
    if groups.at[obj] < groups.counts[_UNPREDICTED]:
        _believe(state, obj)
    last = groups.counts[_ALL] - 1
    _put(groups, groups.members[last], groups.at[obj])
    groups.at[obj] = -1
    groups.counts[_ALL] = last
    drop(state.pool, obj)


@helper
def _disbelieve(state, obj):
    """Put a member of the pool among those whom P does not hold."""
    groups = state.groups
    first = groups.counts[_UNPREDICTED]
    at = np.int64(groups.at[obj])
    _put(groups, groups.members[first], at)
    _put(groups, obj, first)
    groups.counts[_UNPREDICTED] = first + 1
    mark(state.pool, _UNPREDICTED, obj)


@helper
def _believe(state, obj):
    """Put a member of the pool among those whom P holds."""
    groups = state.groups
    last = groups.counts[_UNPREDICTED] - 1
    at = np.int64(groups.at[obj])
    _put(groups, groups.members[last], at)
    _put(groups, obj, last)
    groups.counts[_UNPREDICTED] = last
    unmark(state.pool, _UNPREDICTED, obj)


@helper
def _pool_is_what_was_requested_last(state):
    """Fill the pool anew."""
    groups, last = state.groups, state.last
    while groups.counts[_ALL] > 0:
        _quit(state, np.int64(groups.members[groups.counts[_ALL] - 1]))
    for at in range(last.next[0]):
        obj = np.int64(last.row[at])
        if last.place[obj] == at:
            _join(state, obj)


# The model.


@helper
def _evict_from(state, which):
    """Let the model evict somebody of the pool: the choice is open."""
    if state.least_recent[0]:
        _leave(state, oldest(state.pool, which))
    else:
        _evict_at_random(state, which)


@helper
def _evict_at_random(state, which):
    _leave(state, np.int64(state.groups.members[random_below(state.rng, state.groups.counts[which])]))


@helper
def _leave(state, victim):
    _quit(state, victim)
    state.model[victim] = 0
    mark(state.cache, 0, victim)


@helper
def _note_change(state, obj):
    if state.is_changed[obj] == 0:
        state.is_changed[obj] = 1
        state.changed[state.counts[_CHANGED]] = obj
        state.counts[_CHANGED] += 1


@helper
def _ask(state):
    """Let P be the predictor's cache."""
    for i in range(state.counts[_CHANGED]):
        obj = np.int64(state.changed[i])
        state.is_changed[obj] = 0
        held = find(state.predicted.inner, obj)
        if held and state.believed[obj] == 0:
            state.believed[obj] = 1
            if state.groups.at[obj] >= 0:
                _believe(state, obj)
        elif not held and state.believed[obj] == 1:
            state.believed[obj] = 0
            if state.groups.at[obj] >= 0:
                _disbelieve(state, obj)
    state.counts[_CHANGED] = 0


@helper
def _follow(state, obj, rose):
    """Follower; return False when Robust has to begin."""
    if state.model[obj]:
        touch(state.pool, obj)
        mark(state.pool, _ALL, obj)
        if not state.believed[obj]:
            mark(state.pool, _UNPREDICTED, obj)
        return True
    if state.counts[_FREE] > 0:
        state.counts[_FREE] -= 1
        _ask(state)  # the predictor fills its cache as well
    else:
        if state.believed[obj] == 0 and rose:
            _ask(state)
        if state.believed[obj] == 0:
            return False
        _evict_from(state, _UNPREDICTED)
    state.model[obj] = 1
    _join(state, obj)
    return True


@helper
def _begin_robust(state):
    """Load what was requested last."""
    counts, groups = state.counts, state.groups
    for i in range(groups.counts[_ALL]):
        obj = groups.members[i]
        state.model[obj] = 0
        mark(state.cache, 0, obj)
    _pool_is_what_was_requested_last(state)
    counts[_PHASE] = 1 - counts[_PHASE]
    counts[_ARRIVED] = 0
    for i in range(groups.counts[_ALL]):
        obj = groups.members[i]
        state.model[obj] = 1
        unmark(state.cache, 0, obj)
        state.loaded[obj] = counts[_PHASE]
        state.loaded_now[i] = obj


@helper
def _begin_window(state, obj):
    """Note which of the loaded that are unmarked, or requested now, the prediction holds and the model does not."""
    state.counts[_WINDOW] += 1
    for i in range(len(state.loaded_now)):
        other = state.loaded_now[i]
        open_still = state.arrived[other] != state.counts[_PHASE] or other == obj
        if open_still and state.believed[other] and not state.model[other]:
            state.missing[other] = state.counts[_WINDOW]


@helper
def _be_robust(state, obj):
    counts = state.counts
    phase = counts[_PHASE]
    if state.arrived[obj] != phase:
        state.arrived[obj] = phase
        counts[_ARRIVED] += 1
        if state.groups.at[obj] >= 0:
            _quit(state, np.int64(obj))
        if state.begins_window[counts[_ARRIVED]]:
            _ask(state)
            _begin_window(state, obj)
    if state.model[obj] == 0:
        if state.loaded[obj] != phase or state.missing[obj] == counts[_WINDOW]:
            _evict_from(state, _UNPREDICTED if state.groups.counts[_UNPREDICTED] > 0 else _ALL)
        else:
            _evict_at_random(state, _ALL)
        state.model[obj] = 1


@helper
def _learn(state, obj, now):
    rose = request(state.optimum, obj)
    was_held = find(state.predicted.inner, obj)
    gone = swap(state.predicted, obj, now)
    if not was_held:
        _note_change(state, obj)
    if gone != NOBODY:
        _note_change(state, gone)
    robust = state.counts[_PHASE] > 0
    if not robust and not _follow(state, obj, rose):
        robust = True
        _begin_robust(state)
    if robust:
        _be_robust(state, obj)
    if not has(state.last, obj):
        if state.counts[_UNUSED] > 0:
            state.counts[_UNUSED] -= 1
        else:
            drop(state.last, oldest(state.last, 0))
    touch(state.last, obj)
    mark(state.last, 0, obj)
    if robust and state.counts[_ARRIVED] == len(state.loaded_now):
        state.counts[_PHASE] = -state.counts[_PHASE]
        _pool_is_what_was_requested_last(state)


def _hit(state, obj, now, size):
    _learn(state, obj, now)
    touch(state.cache, obj)  # the model holds it


def _admit(state, obj, now, size):
    _learn(state, obj, now)
    return True


kernels(State, find_in_cache, _hit, insert_in_cache, evict_lazily, admit=_admit)
