"""Policies by reuse distance and hit density: why each victim is the victim."""

from __future__ import annotations

import numpy as np
import pytest

from evictlab.policies import Setting, parse_policy
from evictlab.policies.cache.reuse._lhd_tables import CLASSES, class_rows, recompute
from evictlab.traces.errors import UsageError

from interpreted import run_policy

A, B, C, D, E = range(5)
MISS, HIT = 0, 1


def outcomes(policy, ids, capacity, **kw):
    return run_policy(policy, ids, capacity, **kw)[0]


class TestLirs:
    def test_newcomers_leave_before_old_lir_blocks(self):
        # A and B are LIR, C is HIR. D replaces C, not A, although A is older.
        assert outcomes("lirs:least=1", [A, B, C, D, A], 3) == [MISS, MISS, MISS, MISS, HIT]

    def test_a_short_distance_makes_a_ghost_lir(self):
        # C left the cache but not the stack: it becomes LIR, B (now at the bottom) HIR, and D leaves the queue.
        assert outcomes("lirs:least=1", [A, B, C, D, A, C, B, D], 3)[4:] == [HIT, MISS, HIT, MISS]

    def test_a_repeated_request_is_not_a_short_distance(self):
        # C C is one visit: C stays HIR and D replaces it.
        assert outcomes("lirs:least=1", [A, B, C, C, D, C], 3)[3:] == [HIT, MISS, MISS]

    def test_ghosts_can_be_limited(self):
        # Without ghosts C's return is a first visit: C replaces D in the queue and leaves again for E.
        trace = [A, B, C, D, C, E, C]
        assert outcomes("lirs:least=1", trace, 3)[-1] == HIT
        assert outcomes("lirs:least=1:ghosts=0", trace, 3)[-1] == MISS

    def test_a_loop_longer_than_the_cache_still_hits(self):
        # LRU never hits here; LIRS keeps its LIR blocks.
        loop = [obj for _ in range(20) for obj in range(6)]
        assert sum(outcomes("lru", loop, 5)) == 0
        assert sum(outcomes("lirs:least=1", loop, 5)) == 19 * 4


class TestClockPro:
    def test_cold_pages_leave_before_hot_ones(self):
        # A and B fill the hot room, C is cold: D replaces C.
        assert outcomes("clockpro:cold=0.34", [A, B, C, D, A, B], 3) == [MISS, MISS, MISS, MISS, HIT, HIT]

    def test_a_fault_within_the_test_period_makes_a_page_hot(self):
        # C returns in its test period: D leaves for it, HAND_hot turns A cold, and A is the next victim.
        trace = [A, B, C, D, C, E, B, C, A]
        assert outcomes("clockpro:cold=0.34:adaptive=false", trace, 3)[4:] == [MISS, MISS, HIT, HIT, MISS]

    def test_the_bit_spares_a_hot_page(self):
        # As before, but A was referenced: HAND_hot clears its bit and turns B cold.
        trace = [A, B, A, C, D, C, E, A, B]
        assert outcomes("clockpro:cold=0.34:adaptive=false", trace, 3)[5:] == [MISS, MISS, HIT, MISS]

    def test_without_ghosts_no_page_returns_hot(self):
        trace = [A, B, C, D, C, E, C]
        assert outcomes("clockpro:cold=0.34", trace, 3)[-1] == HIT
        assert outcomes("clockpro:cold=0.34:ghosts=0", trace, 3)[-1] == MISS


class TestLhd:
    def test_what_was_hit_is_denser_than_what_was_not(self):
        # At the start density is (class + 17) / (age + 1): A was hit at once (class 15), B never (class 0).
        assert outcomes("lhd", [A, A, B, C, A, B], 2) == [MISS, HIT, MISS, MISS, HIT, MISS]

    def test_density_is_per_byte(self):
        # Both never hit; A is three times as large.
        assert outcomes("lhd", [A, B, C, B], 5, sizes=[3, 1, 2, 1])[-1] == HIT

    def test_classes_count_doublings(self):
        rows = class_rows(8)
        assert [int(row) // 8 for row in rows] == [15, 3, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]

    def test_density_is_hits_to_come_over_time_to_come(self):
        # 4 hits at age 1 and 4 evictions at age 3, faded by 0.9 alike. From age 0: 4 hits over 8+8+4+4 ages lived;
        # from age 2 no hit is to come.
        ages = 8
        density = np.ones(CLASSES * ages, np.float32)
        hits, evictions = np.zeros(CLASSES * ages), np.zeros(CLASSES * ages)
        hits[1], evictions[3] = 4, 4
        shift = recompute(density, hits, evictions, np.zeros(3), 100, 0, 10)
        assert shift == 10
        assert density[:4].tolist() == pytest.approx([4 / 24, 4 / 16, 0, 0])

    def test_ages_are_coarsened_to_the_number_of_residents(self):
        # 100 residents over 0.01 * 8 ages ask for a shift of 11 (2048 >= 1250): one step coarser than before.
        ages = 8
        hits, evictions = np.zeros(CLASSES * ages), np.zeros(CLASSES * ages)
        hits[:ages] = range(ages)
        shift = recompute(np.ones(CLASSES * ages, np.float32), hits, evictions, np.zeros(3), 100, 5, 10)
        assert shift == 11
        assert (hits[:ages] / 0.9).tolist() == pytest.approx([0 + 1, 2 + 3, 4 + 5, 6, 0, 0, 0, 7])


class TestHyperbolic:
    def test_priority_decays_with_age(self):
        # At C, A earned 3 in 4 requests, B 1 in 1: A leaves, where LFU would throw away B.
        trace = [A, A, A, B, C, B]
        assert outcomes("hyperbolic", trace, 2)[-1] == HIT
        assert outcomes("lfu", trace, 2)[-1] == MISS

    def test_cost_and_size_count(self):
        # All entered one after the other and were requested once; B costs ten times as much, C is ten times as large.
        assert outcomes("hyperbolic", [A, B, C, B], 2, costs=[1.0, 10.0, 1.0, 10.0])[-1] == HIT
        assert outcomes("hyperbolic", [A, C, B, A], 12, sizes=[1, 10, 5, 1])[-1] == HIT

    def test_the_seed_decides_who_is_compared(self):
        ids = np.random.default_rng(1).integers(0, 12, 200)
        assert len({tuple(outcomes("hyperbolic:sample=1", ids, 5, seed=seed)) for seed in range(4)}) == 4


@pytest.mark.parametrize(
    "text",
    [
        "lirs:hir=2", "lirs:least=0", "lirs:ghosts=-1", "lirs:ghosts=nan", "clockpro:cold=-0.1", "clockpro:ghosts=-1",
        "lhd:sample=0", "lhd:period=0", "lhd:ages=1", "hyperbolic:sample=0",
    ],
)  # fmt: skip
def test_values_out_of_range(text):
    with pytest.raises(UsageError, match="expected"):
        parse_policy(text)


def test_lirs_leaves_one_block_of_two_to_each_kind():
    state = parse_policy("lirs").make(Setting(5, 2))
    assert state.scalars[1] == 1
