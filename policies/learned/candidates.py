"""Candidates: the few residents among whom a learned policy chooses its victim.

Some stand at the tail of the order of last use, as in Cold-RL; the others are drawn at random among all residents, as in LRB.
With the tail alone, objects that are spared stay at the tail and fill it: then there is nobody left to choose.

State: a list of the residents by last use, the same residents in an array to draw from, and the rows that describe the
candidates of the last decision.
Source: Gupta et al., "Cold-RL", arXiv:2508.12485, 2025 (K-tail); Song et al., "Learning relaxed Belady for content
distribution network caching", NSDI 2020 (random candidates).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..contract import helper, unsigned, weight
from ..random import random_below
from ..setting import Setting
from ..shelf import Shelf, give_back, make_shelf, newer, oldest, push, take, unlink
from .facts import (
    MISSING,
    N_CONTEXT,
    N_FEATURES,
    Facts,
    describe,
    fetched,
    found,
    make_facts,
    requested,
    time_of,
)

__all__ = ["MOST_CANDIDATES", "Candidates", "choose", "enter", "is_resident", "leave", "make_candidates", "touch"]

MOST_CANDIDATES = 64
"""As many as the mask of a decision has bits."""

_COUNT, _CHOSEN, _DECISIONS, _CAPACITY, _TAIL = range(5)


class Candidates(NamedTuple):
    """The residents, and who of them stands for election.

    Attributes
    ----------
    facts : Facts
    shelf : Shelf
        One list of the residents, by last request.
    place : int32[n_objects]
        Where in `residents` the object stands.
    residents : int32[most residents]
        In no particular order.
    seen : int64[n_objects]
        The last decision for which the object was a candidate.
    who : int32[k]
        The candidates: from the tail, the oldest first, then those drawn.
    rows : float32[k, N_FEATURES]
        What is known of them; a row that is all `MISSING` belongs to nobody.
    context : float32[N_CONTEXT]
    numbers : int64[5]
        Residents, candidates of the last decision, decisions, capacity, and how many come from the tail.
    rng : uint64[1]
    stored : int64[n_objects], bytes, or None
    """

    facts: Facts
    shelf: Shelf
    place: Any
    residents: Any
    seen: Any
    who: Any
    rows: Any
    context: Any
    numbers: Any
    rng: Any
    stored: Any


def make_candidates(setting: Setting, k: int, tail: int) -> Candidates:
    """Return an empty cache whose decisions look at `k` residents, `tail` of them those that were not asked for longest."""
    n, most = setting.n_objects, setting.max_resident
    return Candidates(
        make_facts(setting),
        make_shelf(n, most),
        np.zeros(n, np.int32),
        np.zeros(most, np.int32),
        np.zeros(n, np.int64),
        np.zeros(k, np.int32),
        np.full((k, N_FEATURES), MISSING, np.float32),
        np.zeros(N_CONTEXT, np.float32),
        np.array([0, 0, 0, setting.capacity, tail], np.int64),
        setting.random_state(),
        setting.stored,
    )


@helper
def is_resident(cache, obj):
    """Say whether `obj` is in the cache."""
    return cache.shelf.slot_of[obj] >= 0


@helper
def touch(cache, obj, now):
    """A resident was asked for."""
    slot = unsigned(cache.shelf.slot_of[obj])
    unlink(cache.shelf, slot)
    push(cache.shelf, 0, slot)
    requested(cache.facts, obj, now)
    found(cache.facts, obj, now)


@helper
def enter(cache, obj, now):
    """One that was not resident was asked for, and comes in."""
    push(cache.shelf, 0, take(cache.shelf, obj))
    last = cache.numbers[_COUNT]
    cache.residents[last] = obj
    cache.place[obj] = last
    cache.numbers[_COUNT] = last + 1
    requested(cache.facts, obj, now)
    fetched(cache.facts, obj, now, True)


@helper
def leave(cache, obj):
    """A resident leaves; what is known of it stays."""
    slot = unsigned(cache.shelf.slot_of[obj])
    unlink(cache.shelf, slot)
    give_back(cache.shelf, slot)
    last = cache.numbers[_COUNT] - 1
    moved = cache.residents[last]
    at = cache.place[obj]
    cache.residents[at] = moved
    cache.place[moved] = at
    cache.numbers[_COUNT] = last


@helper
def choose(cache, now, need):
    """Choose and describe the candidates at request `now`; return how many there are, at most k.

    `need` are the bytes to be freed, as the context tells them; 0 = one victim.
    """
    numbers, k = cache.numbers, len(cache.who)
    count = numbers[_COUNT]
    numbers[_DECISIONS] += 1
    decision = numbers[_DECISIONS]
    n = 0
    slot = np.int64(oldest(cache.shelf, 0))
    from_tail = k if count <= k else min(numbers[_TAIL], k)
    while n < from_tail and slot >= 0:
        obj = cache.shelf.obj_of[slot]
        cache.who[n] = obj
        cache.seen[obj] = decision
        n += 1
        slot = np.int64(newer(cache.shelf, slot))
    tries = 4 * k if count > k else 0  # among many residents hardly anyone is drawn twice
    while n < k and tries > 0:
        tries -= 1
        obj = cache.residents[random_below(cache.rng, count)]
        if cache.seen[obj] != decision:
            cache.who[n] = obj
            cache.seen[obj] = decision
            n += 1
    t = time_of(cache.facts, now)
    for i in range(n):
        obj = cache.who[i]
        describe(cache.facts, obj, t, weight(cache.stored, obj), cache.rows[i])
    for i in range(n, min(k, numbers[_CHOSEN])):
        for j in range(N_FEATURES):
            cache.rows[i, j] = MISSING
    numbers[_CHOSEN] = n
    cache.context[0] = cache.facts.clock[2]
    cache.context[1] = numbers[_CAPACITY]
    cache.context[2] = count
    cache.context[3] = need
    return n
