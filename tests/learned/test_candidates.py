"""Candidates: the tail in its order, then a fair draw; nobody twice, all when they are few."""

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
    touch,
)
from evictlab.policies.learned.facts import MISSING


def cache_of(n_residents, k, tail, *, n_objects=None, seed=0, sizes=None):
    """Residents 0, 1, ... of 10, 11, ... bytes, which came in in this order, a second apart."""
    n_objects = n_residents if n_objects is None else n_objects
    stored = 10 + np.arange(n_objects) if sizes is None else np.asarray(sizes, np.int64)
    cache = make_candidates(Setting(n_objects, 1000, stored, seed), k, tail)
    for obj in range(n_residents):
        enter(cache, obj, obj)
    return cache


def chosen(cache, now=100, need=0):
    return cache.who[: choose(cache, now, need)].tolist()


def test_the_tail_comes_first_and_the_oldest_of_it_before():
    cache = cache_of(20, 6, 3)
    assert chosen(cache)[:3] == [0, 1, 2]
    touch(cache, 1, 20)
    touch(cache, 0, 21)
    leave(cache, 3)
    assert chosen(cache)[:3] == [2, 4, 5]
    idle = cache.rows[:3, 6].tolist()
    assert idle == [98, 96, 95]


def test_all_when_they_are_few():
    for n in (1, 5, 6):
        cache = cache_of(n, 6, 2, n_objects=8)
        touch(cache, 0, 50)
        assert chosen(cache) == [*range(1, n), 0]
        assert (cache.rows[n:] == MISSING).all()
        assert cache.rows[:n, 1].tolist() == [*range(11, 10 + n), 10]


def test_rows_of_those_who_left_are_nobody_s():
    cache = cache_of(6, 6, 2)
    assert len(chosen(cache)) == 6
    for obj in (0, 3, 5):
        leave(cache, obj)
    assert chosen(cache) == [1, 2, 4]
    assert (cache.rows[3:] == MISSING).all()
    enter(cache, 0, 60)
    assert chosen(cache) == [1, 2, 4, 0]
    assert (cache.rows[:4, 1] > 0).all()
    assert (cache.rows[4:] == MISSING).all()


@pytest.mark.parametrize(("k", "tail", "n"), [(5, 2, 6), (64, 8, 65), (64, 8, 200), (3, 0, 40), (4, 4, 40)])
def test_nobody_twice(k, tail, n):
    cache = cache_of(n, k, tail)
    for _ in range(300):
        who = chosen(cache)
        assert len(set(who)) == len(who)
        assert who[:tail] == list(range(tail))
        # Draws give up after 4 k: of 65 residents one or two may be overlooked, of many nobody is.
        assert k - 4 <= len(who) <= k if n == k + 1 else len(who) == k
        assert (cache.rows[: len(who), 1] == 10 + np.asarray(who)).all()
        assert (cache.rows[len(who) :] == MISSING).all()


def test_others_are_drawn_with_equal_chances():
    n, k, tail, decisions = 40, 8, 3, 6000
    cache = cache_of(n, k, tail, seed=7)
    first, counts = np.zeros(n), np.zeros(n)
    for _ in range(decisions):
        who = chosen(cache)[tail:]
        first[who[0]] += 1
        counts[who] += 1
    assert first[:tail].sum() == counts[:tail].sum() == 0
    assert chisquare(first[tail:]).pvalue > 1e-3
    # Drawn without putting back: counts vary less than a chi-square allows, so it errs on the safe side.
    assert chisquare(counts[tail:]).pvalue > 1e-3
    assert counts.sum() == decisions * (k - tail)


def test_seeds_draw_differently_and_the_same_again():
    draws = [[chosen(cache) for _ in range(5)] for cache in (cache_of(50, 8, 2, seed=s) for s in (1, 1, 2))]
    assert draws[0] == draws[1] != draws[2]


def test_the_context_by_hand():
    cache = cache_of(5, 4, 2)
    chosen(cache, need=33)
    assert cache.context.tolist() == [1.0, 1000.0, 5.0, 33.0]
    leave(cache, 2)
    chosen(cache)
    assert cache.context.tolist() == [1.0, 1000.0, 4.0, 0.0]


def test_where_objects_are_counted_each_weighs_1():
    cache = make_candidates(Setting(10, 4, None), 4, 2)
    for obj in (7, 2, 9):
        enter(cache, obj, obj)
    assert chosen(cache) == [7, 2, 9]
    assert cache.rows[:3, 1].tolist() == [1, 1, 1]
    assert len(cache.residents) == 4


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=60),
    st.integers(1, 12),
    st.integers(0, 12),
    st.integers(0, 5),
)
def test_residents_whatever_comes_and_goes(steps, k, tail, seed):
    cache = make_candidates(Setting(10, 1000, np.ones(10, np.int64), seed), k, min(tail, k))
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
            enter(cache, obj, now)
            queue.append(obj)
        assert sorted(cache.residents[: len(queue)].tolist()) == sorted(queue)
        who = chosen(cache, now)
        assert set(who) <= set(queue)
        from_tail = len(queue) if len(queue) <= k else min(tail, k)
        assert who[:from_tail] == queue[:from_tail]
        assert len(set(who)) == len(who) >= min(k, len(queue)) - (len(queue) > k)


def test_a_decision_has_a_bit_for_each():
    assert MOST_CANDIDATES == 64
