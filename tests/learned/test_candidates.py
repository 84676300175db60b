"""Candidates: the tail in its order, the newcomer, then a fair draw; nobody twice, all when they are few."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from evictlab.policies import Setting
from evictlab.policies.learned.candidates import (
    MOST_CANDIDATES,
    choose,
    enter,
    is_resident,
    leave,
    make_candidates,
    miss,
    touch,
)
from evictlab.policies.learned.facts import MISSING


def comes_in(cache, obj, now):
    miss(cache, obj, now)
    enter(cache, obj)


def cache_of(n_residents, k, tail, *, seed=0):
    """Residents 0, 1, ... of 10, 11, ... bytes, which came in in this order, a second apart; there are three others."""
    n_objects = n_residents + 3
    cache = make_candidates(Setting(n_objects, 1000, 10 + np.arange(n_objects), seed), k, tail)
    for obj in range(n_residents):
        comes_in(cache, obj, obj)
    return cache


def chosen(cache, newcomer=None, now=100, size=500, need=0):
    """Candidates when `newcomer` (or the last object) asks to enter."""
    newcomer = len(cache.place) - 1 if newcomer is None else newcomer
    miss(cache, newcomer, now)
    return cache.who[: choose(cache, newcomer, now, size, need)].tolist()


def test_the_tail_comes_first_then_the_newcomer():
    cache = cache_of(20, 6, 3)
    assert chosen(cache)[:4] == [0, 1, 2, 22]
    assert cache.rows[:4, 1].tolist() == [10, 11, 12, 500]
    assert cache.rows[:4, 6].tolist() == [100, 99, 98, 0]
    touch(cache, 1, 101)
    touch(cache, 0, 102)
    leave(cache, 3)
    assert chosen(cache, now=103)[:4] == [2, 4, 5, 22]


def test_all_when_they_are_few():
    for n in (0, 1, 4, 5):
        cache = cache_of(n, 6, 2)
        if n:
            touch(cache, 0, 50)
        order = [*range(1, n), 0][-n:] if n else []
        assert chosen(cache) == [*order, n + 2]
        assert (cache.rows[n + 1 :] == MISSING).all()
        assert cache.rows[: n + 1, 1].tolist() == [*(10 + obj for obj in order), 500]


def test_there_is_room_for_the_newcomer_among_the_tail():
    cache = cache_of(20, 4, 4)
    assert chosen(cache) == [0, 1, 2, 22]
    assert cache_of(20, 4, 4).numbers[4] == 4
    assert chosen(cache_of(3, 1, 0)) == [5]


def test_a_newcomer_that_is_in_already_stands_once():
    # In the proxy, the cache manager asks long after the newcomer has come in.
    for n, k in ((4, 6), (6, 6), (20, 6)):
        cache = cache_of(n, k, 2)
        for newcomer in (0, n - 1):
            who = chosen(cache, newcomer, now=200 + newcomer, size=10 + newcomer)
            assert len(set(who)) == len(who) == min(n, k)
            assert newcomer in who
            assert (cache.rows[: len(who), 1] == 10 + np.asarray(who)).all()


def test_rows_of_those_who_left_are_nobody_s():
    cache = cache_of(6, 6, 2)
    assert len(chosen(cache)) == 6
    for obj in (0, 3, 5):
        leave(cache, obj)
    assert chosen(cache, now=101) == [1, 2, 4, 8]
    assert (cache.rows[4:] == MISSING).all()
    comes_in(cache, 0, 102)
    assert chosen(cache, now=103) == [1, 2, 4, 0, 8]
    assert (cache.rows[:5, 1] > 0).all()
    assert (cache.rows[5:] == MISSING).all()


@pytest.mark.parametrize(("k", "tail", "n"), [(5, 2, 5), (64, 8, 64), (64, 8, 200), (3, 0, 40), (4, 4, 40)])
def test_nobody_twice(k, tail, n):
    cache = cache_of(n, k, tail)
    tail = min(tail, k - 1)
    for now in range(100, 400):
        who = chosen(cache, now=now)
        assert len(set(who)) == len(who)
        assert who[: tail + 1] == [*range(tail), n + 2]
        # Draws give up after 4 k: of k residents one or two may be overlooked, of many nobody is.
        assert k - 4 <= len(who) <= k if n == k else len(who) == k
        sizes = 10 + np.asarray(who)
        sizes[tail] = 500
        assert (cache.rows[: len(who), 1] == sizes).all()
        assert (cache.rows[len(who) :] == MISSING).all()


def test_others_are_drawn_with_equal_chances():
    n, k, tail, decisions = 40, 8, 3, 6000
    cache = cache_of(n, k, tail, seed=7)
    first, counts = np.zeros(n + 3), np.zeros(n + 3)
    for now in range(100, 100 + decisions):
        who = chosen(cache, now=now)[tail + 1 :]
        first[who[0]] += 1
        counts[who] += 1
    assert first[tail:n].sum() == decisions
    assert counts[tail:n].sum() == decisions * (k - tail - 1)
    assert chisquare(first[tail:n]).pvalue > 1e-3
    # Drawn without putting back: counts vary less than a chi-square allows, so it errs on the safe side.
    assert chisquare(counts[tail:n]).pvalue > 1e-3


def test_seeds_draw_differently_and_the_same_again():
    draws = [[chosen(cache) for _ in range(5)] for cache in (cache_of(50, 8, 2, seed=s) for s in (1, 1, 2))]
    assert draws[0] == draws[1] != draws[2]


def test_the_context_by_hand():
    cache = cache_of(5, 4, 2)
    chosen(cache, now=10, need=33)
    assert cache.context.tolist() == [2.0, 1000.0, 5.0, 33.0]
    leave(cache, 2)
    chosen(cache, now=15)
    assert cache.context.tolist() == [2.5, 1000.0, 4.0, 0.0]


def test_where_objects_are_counted_each_weighs_1():
    cache = make_candidates(Setting(10, 4, None), 4, 2)
    for obj in (7, 2, 9):
        comes_in(cache, obj, obj)
    assert chosen(cache, 5, size=1) == [7, 2, 9, 5]
    assert cache.rows[:, 1].tolist() == [1, 1, 1, 1]
    assert len(cache.residents) == 4


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=60),
    st.integers(1, 12),
    st.integers(0, 12),
    st.integers(0, 5),
)
def test_residents_whatever_comes_and_goes(steps, k, tail, seed):
    cache = make_candidates(Setting(11, 1000, np.ones(11, np.int64), seed), k, min(tail, k))
    queue: list[int] = []
    for now, (obj, leaves) in enumerate(steps):
        assert is_resident(cache, obj) == (obj in queue)
        if obj in queue:
            queue.remove(obj)
            if leaves:
                leave(cache, obj)
            else:
                touch(cache, obj, now)
                queue.append(obj)
        else:
            comes_in(cache, obj, now)
            queue.append(obj)
        assert sorted(cache.residents[: len(queue)].tolist()) == sorted(queue)
        who = chosen(cache, 10, now)
        from_tail = len(queue) if len(queue) < k else min(tail, k - 1)
        assert who[: from_tail + 1] == [*queue[:from_tail], 10]
        assert set(who) <= {*queue, 10}
        assert len(set(who)) == len(who) >= min(k, len(queue) + 1) - 2 * (len(queue) >= k)


def test_a_decision_has_a_bit_for_each():
    assert MOST_CANDIDATES == 64
