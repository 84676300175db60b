"""Policies that read predicted times, and OnlineMin: stories, and the structures beneath them."""

from __future__ import annotations

import numpy as np
import pytest

from evictlab.policies import layers, parse_policy, slot_heap
from evictlab.sim.loop import HITS
from evictlab.traces.errors import UsageError

from interpreted import run_naive, run_policy, story
from naive import make_twin

# A returns first, C last; C is back at once all the same. E comes when C's prediction is the largest.
MISTAKE = {"letters": "ABC D C", "capacity": 3, "predict": [10, 20, 90, 50, 99]}


def told_over_seeds(policy: str, seeds: int = 30, **story_of) -> set[str]:
    return {story(policy, seed=seed, **story_of) for seed in range(seeds)}


class TestBlindOracle:
    def test_who_is_predicted_last_leaves(self):
        # C: A is due at 4, B at 3. A: C is not expected any more.
        assert story("blind_oracle", "AB C B A", 2, predict=[4, 3, np.inf, np.inf, np.inf]) == ". . A + C"

    def test_the_last_prediction_counts(self):
        # A was due last, until its hit said otherwise.
        assert story("blind_oracle", "AB A C", 2, predict=[9, 5, 4, 7]) == ". . + B"

    def test_a_wrong_promise_is_never_forgotten(self):
        # A should have come at 2 and never does: B and C throw each other out.
        assert story("blind_oracle", "AB C B C B", 2, predict=[2, 3, 4, 5, 6, 7]) == ". . B C B C"

    def test_of_equals_the_lowest_slot(self):
        # C takes A's slot, which remains the lowest.
        assert story("blind_oracle", "AB C D", 2, predict=[5, 5, 5, 5]) == ". . A C"


class TestLMarker:
    def test_a_clean_newcomer_believes(self):
        # C begins a phase and is clean: B is due last. B is stale: A alone is unmarked. A begins a phase and is clean,
        # since it left before: B is due after C.
        assert told_over_seeds("lmarker", letters="AB C B A", capacity=2, predict=[5, 9, 7, 8, 0]) == {". . B A B"}

    def test_of_equals_the_highest_slot(self):
        assert story("lmarker", "AB C", 2, predict=[5, 5, 5]) == ". . B"

    def test_who_is_back_draws(self):
        # C is stale: A or B, whatever is predicted; D is marked.
        assert told_over_seeds("lmarker", **MISTAKE) == {". . . C A", ". . . C B"}


class TestPredictiveMarker:
    def test_a_chain_that_is_too_long_draws(self):
        # H_3 = 1.83: the first miss of a chain believes, the second draws.
        assert told_over_seeds("predictive_marker", **MISTAKE) == {". . . C A", ". . . C B"}

    def test_a_longer_patience_believes(self):
        assert told_over_seeds("predictive_marker:gamma=2", **MISTAKE) == {". . . C B"}

    def test_no_patience_draws_at_once(self):
        told = told_over_seeds("predictive_marker:gamma=0", **(MISTAKE | {"letters": "ABC D", "predict": [1, 2, 9, 5]}))
        assert told == {f". . . {left}" for left in "ABC"}

    def test_endless_patience_never_draws(self):
        # C, B, A in turn believe; then all are marked, and E finds that C is due last.
        mistakes = {"letters": "ABC D C B E", "capacity": 3, "predict": [10, 20, 90, 50, 99, 60, 70]}
        assert told_over_seeds("predictive_marker:gamma=inf", **mistakes) == {". . . C B A C"}
        assert parse_policy("predictive_marker:gamma=inf").label == "predictive_marker:gamma=inf"

    def test_what_is_no_length(self):
        for gamma in ("-1", "nan"):
            with pytest.raises(UsageError, match="0 or more"):
                parse_policy(f"predictive_marker:gamma={gamma}")


class TestAdaptiveQuery:
    def test_whoever_is_drawn_alone_leaves(self):
        told = told_over_seeds("adaptive_query:b=1", letters="ABC D", capacity=3, predict=[1, 2, 9, 5])
        assert told == {f". . . {left}" for left in "ABC"}

    def test_two_are_drawn_and_the_later_leaves(self):
        # A, which is due first, leaves in no case.
        told = told_over_seeds("adaptive_query", letters="ABC D", capacity=3, predict=[1, 2, 9, 5])
        assert told == {". . . B", ". . . C"}

    def test_deep_in_a_chain_one_is_drawn(self):
        # ln 4 = 1.39: D (first miss) and C (second, depth 1) ask all; B (third, depth 2) draws A or the other.
        told = told_over_seeds("adaptive_query:b=4", letters="ABCX D C X", capacity=4, predict=[1, 2, 9, 8, 5, 0, 0])
        assert told == {". . . . C X A", ". . . . C X B"}

    def test_nobody_to_draw(self):
        with pytest.raises(UsageError, match="1 or more"):
            parse_policy("adaptive_query:b=0")


class TestGuard:
    def test_a_mistake_is_guarded(self):
        # C left by mistake: one of the unvisited A, B goes, and the slot of C is guarded. So E throws out D, not C, although
        # C is due last.
        told = told_over_seeds("guard", **(MISTAKE | {"letters": "ABC D C E", "predict": [10, 20, 90, 50, 99, 60]}))
        assert told == {". . . C A D", ". . . C B D"}

    def test_a_visit_is_no_guard(self):
        # A is visited, and leaves all the same: who is due last goes, unless guarded.
        assert story("guard", "AB C A D", 2, predict=[1, 9, 5, 7, 0]) == ". . B + A"

    def test_a_phase_ends_when_all_were_visited(self):
        # C, D visit both slots; B left in a phase that is over, so its return is no mistake: D is due last.
        assert told_over_seeds("guard", letters="AB C A B", capacity=2, predict=[1, 9, 5, 3, 0]) == {". . B + C"}


class TestEquitable:
    def test_ranks_decide_where_the_optimum_is_free(self):
        # C: A or B. An optimal player holds C and one of A, B: whoever of them returns throws out the other, never C.
        told = told_over_seeds("equitable", letters="AB C A", capacity=2)
        assert told == {". . A B", ". . B +"}

    def test_a_support_that_is_no_cache(self):
        with pytest.raises(UsageError, match="1 or more"):
            parse_policy("equitable:support=0.5")

    @pytest.mark.parametrize("support", ["1", "3", "inf"])
    def test_long_enough_to_close_up_many_times(self, support):
        rng = np.random.default_rng(4)
        ids = np.minimum(rng.zipf(1.3, 3000), 60) + rng.integers(0, 30, 3000) * (rng.random(3000) < 0.3)
        policy = f"equitable:support={support}"
        for capacity in (1, 4, 11):
            assert run_policy(policy, ids, capacity)[0] == run_naive(make_twin(policy, ids, capacity), ids, capacity)

    def test_h_k_on_one_page_too_many(self):
        """The adversary of the lower bound, k = 3: expected misses near H_3 = 1.83 times the optimum's, not above."""
        ids = np.random.default_rng(0).integers(0, 4, 12_000)
        ours = len(ids) - run_policy("equitable", ids, 3, compiled=True)[1][HITS]
        known = layers.make_layers(4, 3)
        for obj in ids:
            layers.request(known, obj)
        assert 1.7 < ours / known.counts[layers.OPTIMUM] < 1.9


def fewest_misses(ids, capacity: int) -> int:
    """Belady's, with the duty to admit."""
    cache: set[int] = set()
    misses = 0
    for now, obj in enumerate(ids):
        if obj not in cache:
            misses += 1
            if len(cache) == capacity:
                ahead = list(ids[now:])
                cache.remove(max(cache, key=lambda o: ahead.index(o) if o in ahead else len(ids)))
            cache.add(obj)
    return misses


class TestLayers:
    def test_they_count_the_optimum_of_every_prefix(self):
        rng = np.random.default_rng(1)
        for _ in range(40):
            n_objects, capacity = int(rng.integers(1, 9)), int(rng.integers(1, 6))
            ids = rng.integers(0, n_objects, 90).tolist()
            known = layers.make_layers(n_objects, capacity)
            rises = [layers.request(known, obj) for obj in ids]
            for now in range(0, len(ids), 7):
                assert sum(rises[: now + 1]) == fewest_misses(ids[: now + 1], capacity)
            assert known.counts[layers.OPTIMUM] == sum(rises)

    def test_a_limit_on_the_support_holds(self):
        rng = np.random.default_rng(2)
        known = layers.make_layers(30, 3, most=9)
        for obj in rng.integers(0, 30, 500):
            layers.request(known, obj)
            assert (known.at >= 0).sum() <= 9


class TestSlotHeap:
    def test_the_largest_is_on_top_whatever_happens(self):
        rng = np.random.default_rng(3)
        heap, keys = slot_heap.make_slot_heap(30), {}
        for step in range(3000):
            slot = int(rng.integers(0, 30))
            if step % 500 == 250:
                keys = {slot: float(rng.integers(0, 8)) for slot in range(30)}
                slot_heap.build(heap, np.array([keys[slot] for slot in range(30)]))
            elif slot in keys and rng.random() < 0.4:
                del keys[slot]
                slot_heap.drop(heap, slot)
            else:
                keys[slot] = float(rng.choice([*range(8), np.inf]))
                slot_heap.put(heap, slot, keys[slot])
            assert heap.count[0] == len(keys)
            assert not keys or slot_heap.top(heap) == max(keys, key=lambda slot: (keys[slot], slot))
