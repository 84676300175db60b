"""Combinations and other robust policies: whom they follow, and how far bad predictions can take them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from every_policy import ObjectPolicy

from evictlab.policies import Setting, parse_policy
from evictlab.policies.contract import find
from evictlab.policies.predictive.combine import Combined, choose
from evictlab.policies.predictive.robust.blum_burch import BlumBurch
from evictlab.policies.predictive.robust.follow_leader import FollowLeader
from evictlab.policies.predictors import Predicted, parse_predictor
from evictlab.policies.shadow import (
    NOBODY,
    drop,
    has,
    is_marked,
    make_recent,
    make_shadow,
    mark,
    oldest,
    part_seed,
    step,
    touch,
    unmark,
)
from evictlab.sim.job import check_capable
from evictlab.traces.errors import CapabilityError, UsageError
from evictlab.traces.request import RequestTrace

from interpreted import next_use_of, run_policy, story

A, B, C = range(3)
MISS, HIT, REFUSED = 0, 1, 3


def misses(policy: Any, ids: Any, capacity: int, predict: Any = None, seed: int = 0) -> int:
    if predict is not None:
        policy = Predicted(parse_policy(policy), parse_predictor(np.asarray(predict)))
    return len(ids) - run_policy(policy, ids, capacity, seed=seed)[0].count(HIT)


def popular(n_requests: int, n_objects: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, n_objects + 1)
    return rng.choice(n_objects, n_requests, p=weights / weights.sum()).astype(np.int32)


def due(ids: np.ndarray) -> np.ndarray:
    """The truth: index of the next request, far away for never."""
    return np.where(next_use_of(ids) >= len(ids), 10_000.0 * len(ids), next_use_of(ids))


class TestRecent:
    def test_as_a_list_with_marks(self):
        rng = np.random.default_rng(1)
        recent, order, marks = make_recent(40, 20, subsets=2), [], [set(), set()]
        for _ in range(6000):  # the row has 256 places: members move together every couple of hundred steps
            obj, which = int(rng.integers(40)), int(rng.integers(2))
            action = rng.integers(5)
            if action == 0 and (obj in order or len(order) < 20):
                touch(recent, obj)
                order = [*(o for o in order if o != obj), obj]
                marks = [found - {obj} for found in marks]
            elif action == 1:
                mark(recent, which, obj)
                marks[which] |= {obj} & set(order)
            elif action == 2:
                unmark(recent, which, obj)
                marks[which] -= {obj}
            elif action == 3 and obj in order and rng.random() < 0.2:
                drop(recent, obj)
                order.remove(obj)
                marks = [found - {obj} for found in marks]
            assert [has(recent, o) for o in range(40)] == [o in order for o in range(40)]
            for subset, found in enumerate(marks):
                assert oldest(recent, subset) == next((o for o in order if o in found), NOBODY)
                assert all(is_marked(recent, subset, o) == (o in found) for o in order)


class TestShadow:
    @pytest.mark.parametrize(
        "text", ["lru", "marker", "arc", "prob+lru", "mark0:lazy=false", "flush_when_all_zeros", "belady"]
    )
    def test_a_simulated_cache_misses_what_a_real_one_misses(self, text):
        ids = popular(600, 30)
        bits = np.random.default_rng(2).integers(0, 2, len(ids))
        policy = parse_policy(text)
        with_bits = Predicted(policy, parse_predictor(bits)) if policy.predictions else policy
        setting = Setting(30, 7, None, 5, future=lambda: next_use_of(ids), trace=RequestTrace(ids, 30))
        shadow, followers = make_shadow(with_bits, setting), make_recent(30, 7)
        missed = [step(shadow, obj, now, followers, 0) for now, obj in enumerate(ids)]
        assert missed == [int(outcome != HIT) for outcome in run_policy(with_bits, ids, 7, seed=5)[0]]
        assert shadow.free[0] == 7 - sum(find(shadow.inner, obj) for obj in range(30))

    def test_parts_draw_numbers_of_their_own(self):
        assert len({part_seed(seed, which) for seed in range(100) for which in range(3)}) == 300
        state = parse_policy("blum_burch+random+random").make(Setting(9, 3, None, 4))
        assert len({int(rng[0]) for rng in (state.rule.rng, state.first.inner.rng, state.second.inner.rng)}) == 3


class TestCombined:
    def test_the_cache_follows_whoever_leads(self):
        # Bound 1, 2, 4, 8. LRU leads at the second request, MRU from the third on: B leaves for C, as MRU would have it.
        # At the last A, MRU has missed 5 > 4 and LRU leads: it holds C and A, so B leaves, though MRU would keep it.
        assert story("mru", "ABCABCA", 2) == ". . B + A + C"
        assert story("follow_leader:gamma=1+mru+lru", "ABCABCA", 2) == ". . B + A + B"

    def test_changing_over_moves_nothing_before_room_is_needed(self):
        # From C on LRU leads; at the second B it has missed 5 > 4, and MRU, which holds C and B, is followed: A leaves.
        # C, which both leaders had thrown away in between or not, is still here.
        assert story("follow_leader:gamma=1+lru+mru", "ABCABCAB", 2) == ". . A B A + C +"

    def test_what_the_leader_refuses_is_refused(self):
        # From B on Belady with bypass leads; it does not admit C, and the residents are the same.
        outcomes = run_policy("follow_leader:gamma=9+lru+belady:bypass=true", [A, B, C, A, B], 2)[0]
        assert outcomes == [MISS, MISS, REFUSED, HIT, HIT]

    def test_the_same_policy_twice_is_that_policy(self):
        ids = popular(800, 40)
        for combiner in ("follow_leader", "blum_burch"):
            for text in ("lru", "fifo", "sieve"):
                assert run_policy(f"{combiner}+{text}+{text}", ids, 9)[0] == run_policy(text, ids, 9)[0]

    def test_how_it_is_written(self):
        policy = parse_policy("follow_leader:gamma=0.5+mark0:lazy=false+prob+lru@truth")
        assert policy.label == "follow_leader:gamma=0.5+mark0:lazy=false+prob+lru@truth"
        assert [part.spec.name for part in policy.parts()] == ["follow_leader", "mark0", "prob", "lru"]
        assert policy.parameters() == {
            "follow_leader": {"gamma": 0.5},
            "first": {"policy": "mark0:lazy=false", "lazy": False},
            "second": {"policy": "prob+lru", "prob": {"prob": 0.5}, "lru": {}},
            "predictor": "truth",
        }
        nested = parse_policy("blum_burch+follow_leader+lru+mru+fifo")
        assert isinstance(nested.first, Combined) and nested.second.label == "fifo" and nested.random

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("follow_leader+lru", "combines two policies"),
            ("follow_leader+prob+lru", "combines two policies"),
            ("follow_leader+lru+prob", "decides who enters"),
            ("follow_leader+lru+mru+fifo", "no admission rule"),
            ("follow_leader+mru+blum_burch", "without its two policies"),
            ("follow_leader:gamma=0+lru+mru", "above 0"),
            ("blum_burch:eps=0+lru+mru", "above 0"),
            ("blum_burch:eps=1.5+lru+mru", "at most 1"),
            ("follower_robust:victim=fifo", "neither lru nor random"),
        ],
    )
    def test_what_does_not_go_together(self, text, why):
        with pytest.raises(UsageError, match=why):
            parse_policy(text)

    def test_a_combiner_alone_is_no_cache(self):
        with pytest.raises(UsageError, match=r"follow_leader\+sieve\+lru"):
            FollowLeader().make(Setting(5, 2))
        with pytest.raises(UsageError, match="no combiner"):
            Combined(parse_policy("lru"), parse_policy("lru"), parse_policy("mru"))

    def test_an_object_with_methods_cannot_be_simulated(self):
        with pytest.raises(CapabilityError, match="functions over arrays"):
            Combined(FollowLeader(), ObjectPolicy(), parse_policy("lru")).make(Setting(5, 2))

    def test_bytes_are_not_counted(self):
        policy = parse_policy("follow_leader+lru+mru")
        trace = RequestTrace.from_columns([0, 1], sizes=[1, 2], name="two")
        with pytest.raises(CapabilityError, match="counts objects"):
            check_capable(policy, trace, byte_sizes=True, ttl=False)
        with pytest.raises(CapabilityError, match="not bytes"):
            policy.make(Setting(5, 2, np.zeros(5, np.int64)))


class TestFollowLeader:
    @pytest.mark.parametrize("gamma", [0.01, 0.5])
    @pytest.mark.parametrize("other", ["mru", "fifo", "lfu", "mark0:lazy=false"])
    def test_about_twice_the_better_one_at_most(self, gamma, other):
        for seed, capacity in enumerate((2, 5, 9, 20)):
            mixed = np.where(np.arange(2000) // 250 % 2, np.arange(2000) % (capacity + 1), popular(2000, 60, seed))
            bits = np.random.default_rng(seed).integers(0, 2, 2000) if "mark0" in other else None
            best = min(misses("lru", mixed, capacity), misses(other, mixed, capacity, bits))
            combined = misses(f"follow_leader:gamma={gamma}+{other}+lru", mixed, capacity, bits)
            assert combined <= (2 + gamma) * best + capacity

    def test_eager_mark0_told_that_all_may_go_is_saved_by_lru(self):
        ids, ones = popular(4000, 300), np.ones(4000)
        assert misses("mark0:lazy=false", ids, 40, ones) == 4000
        lru = misses("lru", ids, 40)
        assert lru < 2500
        assert misses("follow_leader+mark0:lazy=false+lru", ids, 40, ones) <= 1.02 * lru + 40

    def test_good_bits_are_believed(self):
        ids = popular(4000, 300)
        optimum, lru = misses("belady", ids, 40), misses("lru", ids, 40)
        combined = misses("follow_leader+mark0+lru@truth", ids, 40)
        assert optimum <= combined <= optimum + 40 < 0.8 * lru


class TestBlumBurch:
    def test_in_the_mean_near_the_better_one(self):
        loop = np.arange(1500) % 12  # LRU misses all, MRU a few
        best = misses("mru", loop, 10)
        assert best < 300 and misses("lru", loop, 10) == 1500
        for eps in (0.1, 0.5, 1):
            mean = np.mean([misses(f"blum_burch:eps={eps}+lru+mru", loop, 10, seed=seed) for seed in range(10)])
            assert mean <= (1 + eps) * best + 10 * math.log(2) / eps
        told = [
            misses("blum_burch+mark0:lazy=false+lru", popular(2000, 300), 40, np.ones(2000), seed) for seed in range(10)
        ]
        assert np.mean(told) <= 1.05 * misses("lru", popular(2000, 300), 40) + 40

    def test_the_chance_to_leave_is_what_the_shares_lost(self):
        shares, left, alone = np.array([0.5, 0.5]), 0, 0
        for seed in range(4000):
            rule = BlumBurch(eps=0.5).make_rule(Setting(3, 2, None, seed))
            if rule.leader[0] == 0:
                alone += 1
                left += choose(rule, 1, 0)
        after = shares[0] * 0.75 / (shares[0] * 0.75 + shares[1])
        assert left / alone == pytest.approx((0.5 - after) / 0.5, abs=0.03)

    def test_a_long_lead_can_be_made_up_for(self):
        # Weights of 0.75^100,000 would be 0, and never recover.
        rule = BlumBurch().make_rule(Setting(3, 2, None, 1))
        rule.leader[0] = 0
        rule.missed[:] = 0, 100_000
        assert all(choose(rule, 1, 0) == 0 for _ in range(99_900))
        assert any(choose(rule, 1, 0) == 1 for _ in range(200))


class TestFtp:
    def test_it_holds_what_blind_oracle_holds(self):
        rng = np.random.default_rng(0)
        for capacity in (1, 2, 5, 12):
            ids = rng.integers(0, 20, 400)
            predict = rng.integers(0, 50, 400)  # many ties
            policies = [Predicted(parse_policy(text), parse_predictor(predict)) for text in ("ftp", "blind_oracle")]
            ftp, blind = (run_policy(policy, ids, capacity)[0] for policy in policies)
            assert ftp == blind

    def test_who_is_predicted_last_leaves(self):
        # For C, the predicted cache gave up B (due at 9).
        assert story("ftp", "ABCAB", 2, predict=[3, 9, 8, 7, 9]) == ". . B + C"

    def test_never_again_may_be_infinite(self):
        assert story("ftp", "ABCAB", 2, predict=[3, np.inf, 8, 7, np.inf]) == ". . B + C"


class TestLNonMarker:
    def test_the_clean_evict_whom_is_predicted_last(self):
        # C begins a phase: it is clean, and B is due at 9. A, requested again, is marked; B is stale and comes back, having
        # left for a clean one: anyone may leave. (A or C, drawn.)
        told = {story("lnonmarker", "ABCB", 2, seed=seed, predict=[3, 9, 8, 9]) for seed in range(20)}
        assert told == {". . B A", ". . B C"}

    def test_who_left_for_a_stale_one_evicts_an_unmarked_one(self):
        for seed in range(40):
            told = story("lnonmarker", "ABCDABC", 3, seed=seed, predict=[9, 8, 7, 20, 21, 22, 23]).split()
            # D is clean: A leaves. A is back: anyone of B, C, D leaves. If that was B, then B evicts an unmarked one: C.
            if told[4] == "B":
                assert told[5] == "C"


class TestTrustDoubt:
    def test_with_perfect_predictions_nothing_depends_on_what_is_drawn(self):
        for capacity in (2, 5, 10):
            ids = popular(1500, 40, capacity)
            found = {misses("trust_doubt", ids, capacity, due(ids), seed) for seed in range(5)}
            assert len(found) == 1
            assert misses("belady", ids, capacity) <= found.pop() <= misses("lru", ids, capacity)


class TestFollowerRobust:
    @pytest.mark.parametrize("victim", ["lru", "random"])
    def test_with_perfect_predictions_it_is_optimal(self, victim):
        for seed, capacity in enumerate((1, 2, 3, 7, 10)):
            for ids in (popular(900, 30, seed), np.random.default_rng(seed).integers(0, capacity + 2, 600)):
                found = misses(f"follower_robust:victim={victim}", ids, capacity, due(np.asarray(ids)), seed)
                assert found == misses("belady", ids, capacity)


class TestTheWorstPredictions:
    """Of 11 objects requested at random, k = 10, those due soonest are said to be due last: H_10 = 2.93 is what can be had."""

    @pytest.fixture
    def adverse(self):
        ids = np.random.default_rng(0).integers(0, 11, 3000)
        return ids, -due(ids), misses("belady", ids, 10)

    def ratio(self, text, adverse, seed=1):
        ids, predict, optimum = adverse
        reads = bool(parse_policy(text).predictions)
        return misses(text, ids, 10, predict if reads else None, seed) / optimum

    def test_who_believes_everything_is_lost(self, adverse):
        assert self.ratio("blind_oracle", adverse) > 20
        assert self.ratio("ftp", adverse) > 20

    @pytest.mark.parametrize(
        ("text", "at_most"),
        [
            ("robust_ftp", 3.2),
            ("robust_ftp:deterministic=true", 3.2),
            ("follow_leader+lnonmarker+marker", 3.2),
            ("follow_leader+ftp+marker", 3.2),
            ("blum_burch+lru+blind_oracle", 3.2),
            ("trust_doubt", 4.3),
            ("follower_robust", 4.3),
            ("follower_robust:victim=random", 4.3),
        ],
    )
    def test_who_is_robust_is_not(self, text, at_most, adverse):
        assert self.ratio(text, adverse) < at_most
