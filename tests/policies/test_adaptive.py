"""Adaptive policies: why each victim is the victim, and what each learns."""

from __future__ import annotations

import pytest

from evictlab.policies import Setting, parse_policy
from evictlab.policies.contract import admit, evict, find, hit, insert
from evictlab.traces.errors import UsageError

from interpreted import run_policy

A, B, C, D, E, F = range(6)
MISS, HIT = 0, 1


def outcomes(policy, ids, capacity, **kw):
    return run_policy(policy, ids, capacity, **kw)[0]


def after(policy, ids, capacity):
    """The state after these requests to a cache of equal objects."""
    state = parse_policy(policy).make(Setting(max(ids) + 1, capacity))
    used = 0
    for now, obj in enumerate(ids):
        if find(state, obj):
            hit(state, obj, now, 1)
        elif admit(state, obj, now, 1):
            while used >= capacity:
                evict(state, obj, now, 1)
                used -= 1
            insert(state, obj, now, 1)
            used += 1
    return state


class TestArc:
    def test_a_scan_does_not_touch_what_was_requested_twice(self):
        # A is in T2; B, C, D pass through T1, whose target is 0, and push each other out.
        assert outcomes("arc", [A, A, B, C, D, A], 2) == [MISS, HIT, MISS, MISS, MISS, HIT]

    def test_a_ghost_of_t1_enlarges_t1(self):
        # B returns from B1: p becomes 1, T1 = [C] is not above it, so the oldest of T2 leaves: A.
        trace = [A, A, B, C, B, C, A]
        assert outcomes("arc", trace, 2) == [MISS, HIT, MISS, MISS, MISS, HIT, MISS]
        assert after("arc", trace[:5], 2).target[0] == 1.0

    def test_a_ghost_of_t2_takes_it_back(self):
        # A then returns from B2: p falls to 0 again.
        assert after("arc", [A, A, B, C, B, C, A], 2).target[0] == 0.0

    def test_objects_requested_once_leave_no_ghosts_while_they_fill_the_cache(self):
        # |T1| = c: A leaves without a ghost (case IV.A), so its return is a first request and p stays 0.
        assert after("arc", [A, B, C, A], 2).target[0] == 0.0

    def test_an_object_that_leaves_without_ghost_costs_no_ghost(self):
        # B2 = [A, C], T1 = [B, D], c = 2. E pushes B out for good: the directory is not larger than before, and A, C stay.
        state = after("arc", [A, A, C, B, C, D, E], 2)
        assert state.used.tolist() == [2, 0, 0, 2]


class TestCar:
    def test_a_referenced_page_moves_to_the_second_clock(self):
        # At C the hand of T1 finds A's bit set and moves it to T2; B's is clear and B leaves.
        assert outcomes("car", [A, B, A, C, A, B], 2) == [MISS, MISS, HIT, MISS, HIT, MISS]

    def test_the_target_moves_after_the_eviction(self):
        # B returns from B1. C leaves by the old target 0, not A by the new one 1, as ARC would have it.
        trace = [A, B, A, C, B]
        assert outcomes("car", [*trace, A], 2)[-1] == HIT
        assert outcomes("arc", [*trace, A], 2)[-1] == MISS
        assert after("car", trace, 2).target[0] == 1.0


class TestLecar:
    def test_each_expert_alone(self):
        # A has 3 requests but is the oldest: LRU names A, LFU names B.
        trace = [A, A, A, B, C, A, B]
        assert outcomes("lecar:lru=1:rate=0", trace, 2)[5:] == [MISS, MISS]
        assert outcomes("lecar:lru=0:rate=0", trace, 2)[5:] == [HIT, MISS]

    def test_the_expert_that_was_wrong_loses_weight(self):
        # LRU threw A away for C; A returns 1 request later, so LFU gains exp(0.45 * 0.005^(1/2)).
        weight = after("lecar:lru=0.999999", [A, B, C, A], 2).learnt[0]
        assert weight < 0.999999
        assert (1 - weight) / 1e-6 == pytest.approx(1.0323, rel=1e-3)

    def test_what_nobody_remembers_teaches_nothing(self):
        assert after("lecar:history=0", [A, B, C, A, B, C, A], 2).learnt[0] == 0.5


class TestCacheus:
    def test_a_scan_pushes_itself_out(self):
        # A, B, C fill R; D enters SR. At E both experts name D (oldest of SR; lowest count, most recent), at F both E.
        assert outcomes("cacheus", [A, B, C, D, E, F, A, B, C], 4)[-3:] == [HIT, HIT, HIT]

    def test_a_hit_in_sr_demotes_the_oldest_of_r(self):
        state = after("cacheus", [A, B, C, D, D], 4)
        slot_of = state.recency.slot_of
        assert [int(state.part[slot_of[obj]]) for obj in (A, B, C, D)] == [1, 0, 0, 0]

    def test_the_first_learning_rate_comes_from_the_seed(self):
        rates = {float(parse_policy("cacheus").make(Setting(9, 4, seed=seed)).learnt[1]) for seed in range(5)}
        assert len(rates) == 5
        assert all(0.001 <= rate <= 1 for rate in rates)


def test_sizes_count_in_bytes():
    # ARC: D (3 bytes) needs both B and C gone; A was requested twice and stays.
    assert outcomes("arc", [A, A, B, C, D, A], 4, sizes=[1, 1, 1, 2, 3, 1])[-1] == HIT


@pytest.mark.parametrize("text", ["lecar:rate=-1", "lecar:history=-1", "lecar:lru=1.5", "lecar:rate=nan"])
def test_values_out_of_range(text):
    with pytest.raises(UsageError, match="expected"):
        parse_policy(text)
