"""Caches that are replayed side by side, each up to its next decision; compiled.

A cache here does what `evictlab.sim.loop` does with the policy `cold_rl`, request by request, except that it stops where
the policy would be asked for a victim. It runs the same functions over the same state: a test compares the two.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...policies import contract, random, shelf
from ...policies.learned import candidates as learned_candidates
from ...policies.learned import facts as learned_facts
from ...policies.learned import network as learned_network
from ...policies.learned.candidates import Candidates, choose, enter, is_resident, leave, make_candidates, miss, touch
from ...policies.learned.facts import Facts
from ...policies.learned.network import DENSITY_MOST, value
from ...policies.setting import Setting
from ...policies.shelf import Shelf
from ...traces.jit import kernel
from .library import Library

__all__ = ["BOUNDED", "HITS", "PAPER", "REWARDS", "Caches", "Goal"]

REWARDS = {
    "hits": "hits until the next decision, per request",
    "paper": "share of the candidates that stay and are hit again before they expire",
    "bounded": "minus the hits that the victim would have had within a horizon, per byte and per 1000 requests",
}
HITS, PAPER, BOUNDED = range(3)

(
    _POSITION,
    _BEGIN,
    _END,
    _WAITING,
    _FREE,
    _HITS,
    _REQUESTS,
    _EVICTIONS,
    _TRACE,
    _HIT_BYTES,
    _BYTES,
    _CAPACITY,
    _HORIZON,
) = range(13)
NUMBERS = 13

_MODULES = (contract, random, shelf, learned_candidates, learned_facts, learned_network)
_compiled = kernel(made_of=_MODULES, error_model="numpy")


class Goal(NamedTuple):
    """What is rewarded.

    Attributes
    ----------
    kind : int
        `HITS`, `PAPER` or `BOUNDED`.
    horizon : int
        Requests after which a hit no longer counts (`BOUNDED`); `Caches.begin` may set another one.
    most : float
        A reward is never below minus this (`BOUNDED`).
    """

    kind: int
    horizon: int
    most: float


class Caches:
    """B caches side by side.

    Parameters
    ----------
    library : Library
    n : int
        How many.
    k, tail : int
        Candidates of a decision, and how many of them come from the tail.
    goal : Goal
    hindsight : bool
        Look at the future of every candidate at each decision, not only at that of the victim.
    seed : int

    Attributes
    ----------
    rows : float32[B, k, N_FEATURES]
    context : float32[B, N_CONTEXT]
    candidates : int64[B]
        How many rows are somebody.
    rewards : float64[B]
        Of the last step.
    hits : float32[B, k]
        With `hindsight`: of each candidate, the requests within the horizon that it would answer if it stayed.
    exposure : float32[B, k]
        With `hindsight`: for how many thousand requests it would have been fresh.
    done : bool[B]
        The cache has come to the end of its trace.
    numbers : int64[B, NUMBERS]
    """

    def __init__(
        self, library: Library, n: int, *, k: int, tail: int, goal: Goal, hindsight: bool = False, seed: int = 0
    ) -> None:
        self.library, self.goal, self.k, self.tail = library, goal, k, tail
        self._hindsight = hindsight
        setting = Setting(
            library.n_objects,
            1,
            np.zeros(library.n_objects, np.int64),
            costs=library.costs,
            times=library.times,
            ttls=library.ttls,
        )
        self._fresh = make_candidates(setting, k, tail)
        self._state = _stacked(self._fresh, n)
        self._state.rng[:, 0] = np.random.SeedSequence(seed).generate_state(n, np.uint64)
        self._last = np.full((n, library.n_objects), -1, np.int32)
        self.numbers = np.zeros((n, NUMBERS), np.int64)
        self.rows = self._state.rows
        self.context = self._state.context
        self.candidates = np.zeros(n, np.int64)
        self.rewards = np.zeros(n)
        self.hits = np.zeros((n, k), np.float32)
        self.exposure = np.zeros((n, k), np.float32)
        self.done = np.zeros(n, np.bool_)

    def begin(
        self,
        i: int,
        trace: int,
        capacity: int,
        start: int = 0,
        stop: int | None = None,
        seed: int | None = None,
        horizon: int | None = None,
    ) -> None:
        """Empty cache `i` and let it replay requests start .. stop-1 of a trace, up to its first decision."""
        library = self.library
        begin = int(library.begins[trace])
        length = int(library.begins[trace + 1]) - begin
        stop = length if stop is None else min(stop, length)
        rng = self._state.rng[i].copy() if seed is None else np.random.SeedSequence(seed).generate_state(1, np.uint64)
        _copy(self._state, self._fresh, i)
        self._state.rng[i] = rng
        self._state.numbers[i, 3] = capacity
        self._last[i] = -1
        row = self.numbers[i]
        row[:] = 0
        row[_POSITION], row[_BEGIN], row[_END], row[_FREE], row[_TRACE] = start, begin, stop, capacity, trace
        row[_CAPACITY], row[_HORIZON] = capacity, self.goal.horizon if horizon is None else horizon
        self.candidates[i] = 0
        self.done[i] = False
        self._run(np.zeros(len(self.numbers), np.int64), i, i + 1)

    def extend(self, i: int, stop: int) -> None:
        """Let cache `i`, which is done, go on to request `stop`, up to its next decision."""
        self.numbers[i, _END], self.done[i] = stop, False
        self._run(np.zeros(len(self.numbers), np.int64), i, i + 1)

    def step(self, actions: npt.NDArray[np.int64]) -> None:
        """Evict the candidate with that number from each cache that is not done, and go on to its next decision."""
        self._run(actions, 0, len(self.numbers))

    def best(self, network: Any) -> npt.NDArray[np.int64]:
        """Return the candidate that a network values most for each cache, int64[B]; 0 where there is none."""
        actions = np.zeros(len(self.numbers), np.int64)
        _best(network, self.rows, self.context, self.candidates, actions)
        return actions

    def _run(self, actions: npt.NDArray[np.int64], first: int, last: int) -> None:
        library = self.library
        _advance(
            self._state, actions, first, last, library.ids, library.sizes, library.times, library.ttls, library.costs,
            library.next_use, self._last, self.numbers, self.candidates, self.rewards, self.hits, self.exposure,
            self.done, self.goal, self._hindsight,
        )  # fmt: skip


def _stacked(one: Any, n: int) -> Any:
    """Return `n` times the same named tuple of arrays, along a new first axis; the columns of the trace are shared."""
    if hasattr(one, "_asdict"):
        columns = ("times", "ttls", "costs")
        return type(one)(*(v if name in columns else _stacked(v, n) for name, v in one._asdict().items()))
    return np.repeat(one[np.newaxis], n, axis=0)


def _copy(into: Any, fresh: Any, i: int) -> None:
    for name, part in fresh._asdict().items():
        if name in ("times", "ttls", "costs"):
            continue
        if isinstance(part, tuple):
            _copy(getattr(into, name), part, i)
        else:
            getattr(into, name)[i] = part


@_compiled
def _advance(
    state, actions, first, last, ids, sizes, times, ttls, costs, next_use, last_use, numbers, candidates, rewards,
    hits_of, exposure_of, done, goal, hindsight,
):  # fmt: skip
    for b in range(first, last):
        if done[b]:
            rewards[b] = 0.0
            continue
        row = numbers[b]
        begin, end = row[_BEGIN], row[_BEGIN] + row[_END]
        fact = state.facts
        facts = Facts(fact.of[b], fact.clock[b], times[begin:end], ttls[begin:end], costs[begin:end])
        s = state.shelf
        cache = Candidates(
            facts, Shelf(s.slot_of[b], s.obj_of[b], s.links[b], s.free[b]), state.place[b], state.residents[b],
            state.seen[b], state.who[b], state.rows[b], state.context[b], state.numbers[b], state.rng[b], state.stored[b],
        )  # fmt: skip
        ids_b, sizes_b, next_b = ids[begin:end], sizes[begin:end], next_use[begin:end]
        stored = cache.stored
        i = row[_POSITION]
        reward = 0.0
        if row[_WAITING]:
            at = actions[b]
            if at < 0 or at >= candidates[b]:
                at = 0
            victim = cache.who[at]
            refused = victim == ids_b[i]
            size = sizes_b[i] if refused else stored[victim]
            if goal.kind == BOUNDED:
                saved, exposure = _future(facts, victim, i, last_use[b], next_b, row[_HORIZON])
                mean = row[_CAPACITY] / max(cache.numbers[0], 1)
                density = min(max(mean / max(size, 1), 1 / DENSITY_MOST), DENSITY_MOST)
                reward = max(-saved / exposure * density, -goal.most)
            elif goal.kind == PAPER:
                kept = 0
                for j in range(candidates[b]):
                    if j != at and _again(facts, cache.who[j], last_use[b], next_b):
                        kept += 1
                reward = kept / len(cache.who)
            if refused:
                row[_REQUESTS] += 1
                row[_BYTES] += size
                i += 1
            else:
                row[_FREE] += size
                stored[victim] = 0
                row[_EVICTIONS] += 1
                leave(cache, victim)
        hits, began = row[_HITS], row[_REQUESTS]
        row[_WAITING] = 0
        while i < len(ids_b):
            obj, size = ids_b[i], sizes_b[i]
            if is_resident(cache, obj):
                if facts.of[obj, 4] > facts.times[i]:
                    row[_HITS] += 1
                    row[_HIT_BYTES] += size
                touch(cache, obj, i)
            elif size <= row[_CAPACITY]:
                miss(cache, obj, i)
                last_use[b, obj] = i
                if size > row[_FREE]:
                    row[_WAITING] = 1
                    break
                stored[obj] = size
                row[_FREE] -= size
                enter(cache, obj)
            last_use[b, obj] = i
            row[_REQUESTS] += 1
            row[_BYTES] += size
            i += 1
        row[_POSITION] = i
        if goal.kind == HITS:
            reward = (row[_HITS] - hits) / max(row[_REQUESTS] - began, 1)
        rewards[b] = reward
        if row[_WAITING]:
            candidates[b] = choose(cache, ids_b[i], i, sizes_b[i], 0)
            if hindsight:
                for j in range(candidates[b]):
                    saved, exposure = _future(facts, cache.who[j], i, last_use[b], next_b, row[_HORIZON])
                    hits_of[b, j], exposure_of[b, j] = saved, exposure
        else:
            candidates[b] = 0
            done[b] = True


@_compiled
def _best(network, rows, context, candidates, actions):
    for b in range(len(actions)):
        value(network, rows[b], context[b], candidates[b])
        best = 0
        for i in range(1, candidates[b]):
            if network.q[i] > network.q[best]:
                best = i
        actions[b] = best


@_compiled
def _again(facts, obj, last_use, next_use):
    """Is the next request for a resident before it expires?"""
    j = next_use[last_use[obj]]
    return j < len(next_use) and facts.times[j] < facts.of[obj, 4]


@_compiled
def _future(facts, obj, now, last_use, next_use, horizon):
    """Hits that a resident would have within the horizon, and for how many thousand requests it is fresh.

    At least an eighth of the horizon, or the luck of a moment would count as much as a long life.
    """
    stop = min(now + horizon, len(next_use) - 1)
    expires = facts.of[obj, 4]
    if expires <= facts.times[now]:
        return 0, horizon / 1000
    fresh = float(stop - now)
    if expires < facts.times[stop]:
        fresh *= (expires - facts.times[now]) / (facts.times[stop] - facts.times[now])
    hits = 0
    j = next_use[last_use[obj]]
    while j <= stop and facts.times[j] < expires:
        hits += 1
        j = next_use[j]
    return hits, max(fresh, horizon / 8) / 1000
