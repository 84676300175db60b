"""Candidates: the few objects among whom a learned policy chooses its victim.

Some stand at the tail of the order of last use, as in Cold-RL; one is the newcomer, which may be the one that does not stay;
the others are drawn at random among all residents, as in LRB. With the tail alone, objects that are spared stay at the tail
and fill it: then there is nobody left to choose.

State: a list of the residents by last use, the same residents in an array to draw from, and the rows that describe the
candidates of the last decision.
Source: Gupta, Bhayani, "Cold-RL", arXiv:2508.12485, 2025 (K-tail); Song et al., "Learning relaxed Belady for content
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

__all__ = [
    "MOST_CANDIDATES",
    "Candidates",
    "choose",
    "enter",
    "is_resident",
    "leave",
    "make_candidates",
    "miss",
    "touch",
]

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
        The candidates: from the tail, the oldest first, then the newcomer, then those drawn.
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
    """Return an empty cache whose decisions look at `k` objects, `tail` of them those that were not asked for longest."""
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
def miss(cache, obj, now):
    """One that is not resident was asked for, and is fetched; whether it comes in is another matter."""
    requested(cache.facts, obj, now)
    fetched(cache.facts, obj, now, True)


@helper
def enter(cache, obj):
    """One that was fetched comes in."""
    push(cache.shelf, 0, take(cache.shelf, obj))
    last = cache.numbers[_COUNT]
    cache.residents[last] = obj
    cache.place[obj] = last
    cache.numbers[_COUNT] = last + 1


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
def choose(cache, obj, now, size, need):
    """Choose and describe the candidates at request `now`; return how many there are, at most k.

    `obj` is the newcomer of `size` bytes, which stands for election with the residents, or is one already. `need` are the
    bytes to be freed, as the context tells them; 0 = one victim.
    """
    numbers, k = cache.numbers, len(cache.who)
    count = numbers[_COUNT]
    numbers[_DECISIONS] += 1
    decision = numbers[_DECISIONS]
    n = 0
    # The newcomer has a place in any case.
    cache.seen[obj] = decision
    slot = np.int64(oldest(cache.shelf, 0))
    from_tail = k - 1 if count < k else min(numbers[_TAIL], k - 1)
    while n < from_tail and slot >= 0:
        old = cache.shelf.obj_of[slot]
        if cache.seen[old] != decision:
            cache.who[n] = old
            cache.seen[old] = decision
            n += 1
        slot = np.int64(newer(cache.shelf, slot))
    newcomer = n
    cache.who[n] = obj
    n += 1
    tries = 4 * k if count >= k else 0  # among many residents hardly anyone is drawn twice
    while n < k and tries > 0:
        tries -= 1
        drawn = cache.residents[random_below(cache.rng, count)]
        if cache.seen[drawn] != decision:
            cache.who[n] = drawn
            cache.seen[drawn] = decision
            n += 1
    t = max(time_of(cache.facts, now), cache.facts.clock[1])  # in the proxy, `now` is when the newcomer was asked for
    for i in range(n):
        one = cache.who[i]
        describe(cache.facts, one, t, size if i == newcomer else weight(cache.stored, one), cache.rows[i])
    for i in range(n, min(k, numbers[_CHOSEN])):
        for j in range(N_FEATURES):
            cache.rows[i, j] = MISSING
    numbers[_CHOSEN] = n
    cache.context[0] = cache.facts.clock[2]
    cache.context[1] = numbers[_CAPACITY]
    cache.context[2] = count
    cache.context[3] = need
    return n
