"""Recency policies: why each victim is the victim. A story tells ``+`` hit, ``.`` miss with room, or who left."""

from __future__ import annotations

import numpy as np
import pytest

from evictlab.policies import parse_policy
from evictlab.traces.errors import UsageError

from interpreted import run_policy, story


class TestLru:
    def test_the_longest_unseen_leaves(self):
        assert story("lru", "ABC A D A B", 3) == ". . . + B + C"


class TestMru:
    def test_the_last_requested_leaves(self):
        # D replaces C, requested just before it; A and B stay. E replaces B.
        assert story("mru", "ABC D A B E", 3) == ". . . C + + B"

    def test_part_of_a_loop_stays(self):
        ids = list(range(6)) * 20
        misses = {policy: run_policy(policy, ids, 5)[0].count(0) for policy in ("lru", "mru")}
        assert misses["lru"] == 120
        assert misses["mru"] < 35


class TestRandom:
    def test_anyone_may_leave(self):
        assert {story("random", "ABC A D", 3, seed=seed)[-1] for seed in range(30)} == set("ABC")


class TestMarker:
    def test_a_new_phase_makes_everyone_eligible(self):
        # All three are marked when D comes: the marks are wiped.
        assert {story("marker", "ABC D", 3, seed=seed)[-1] for seed in range(30)} == set("ABC")

    def test_who_was_requested_in_this_phase_stays(self):
        # C begins a phase and is marked; for D, only what is left of A and B is eligible.
        told = {story("marker", "AB C D", 2, seed=seed) for seed in range(30)}
        assert told == {". . A B", ". . B A"}
        # A hit marks as well. D begins a phase; who of A, B and C stayed and is requested again outlives the third.
        for seed in range(30):
            gone = story("marker", "ABC D", 3, seed=seed)[-1]
            kept, last = sorted(set("ABC") - {gone})
            assert story("marker", f"ABC D {kept} E", 3, seed=seed).split()[-1] == last

    def test_misses_stay_within_the_bound(self):
        # A loop over k + 1 objects: LRU always misses, the optimum once in k requests; Marker's mean is within 2 H_k.
        k, n = 10, 3300
        ids = np.arange(n) % (k + 1)
        mean = np.mean([run_policy("marker", ids, k, seed=seed)[0].count(0) for seed in range(5)])
        optimum = k + (n - k) / k
        assert optimum < mean <= 2 * sum(1 / i for i in range(1, k + 1)) * optimum
        assert run_policy("lru", ids, k)[0].count(0) == n


class TestSlru:
    def test_who_falls_from_the_protected_segment_gets_another_chance(self):
        # A, B and C are lifted; two fit, so A falls back, behind D. E: D leaves. F: A, older there than E.
        assert story("slru:protected=0.5", "ABCD A B C E F", 4) == ". . . . + + + D A"

    def test_the_protected_leave_only_when_no_one_else_is_there(self):
        # A and B are protected, the lowest segment is empty: C replaces A.
        assert story("slru:protected=1.0", "AB A B C D", 2) == ". . + + A C"

    def test_each_hit_lifts_by_one_segment(self):
        # Three segments of one. A's first hit lifts it to the middle, the second to the top; B's hit to the middle. The
        # lowest is left to C, which leaves for D. Lifted to the middle, D sends B down to the lowest: B leaves for E.
        assert story("slru:segments=3:protected=0.67", "A A A B B C D D E", 3) == ". + + . + . C + B"

    @pytest.mark.parametrize("text", ["slru:segments=1", "slru:segments=65", "slru:protected=1.1"])
    def test_segments_that_do_not_exist(self, text):
        with pytest.raises(UsageError, match="not within"):
            parse_policy(text)


class TestLruK:
    def test_the_second_last_request_decides(self):
        # Second last requests: A at 0, B at 1. C: A leaves. D: B (1) leaves, and not C (4). A: D has only one request, an
        # infinite distance, and leaves though it came last.
        assert story("lruk", "A B A B C C D A", 2) == ". . + + A + B D"

    def test_history_outlives_eviction(self):
        # B leaves with its last request at 3. When it returns at 5, that is its second last: later than C's (1), so E
        # replaces C. With a history of one request's length it starts from nothing, and leaves.
        assert story("lruk", "B C C B D B E", 2) == ". . + + B D C"
        assert story("lruk:retained=1", "B C C B D B E", 2) == ". . + + B D B"

    def test_one_is_lru(self):
        ids = np.random.default_rng(3).integers(0, 12, 300)
        assert run_policy("lruk:k=1", ids, 5)[0] == run_policy("lru", ids, 5)[0]

    @pytest.mark.parametrize("text", ["lruk:k=0", "lruk:k=17", "lruk:retained=-1"])
    def test_distances_that_do_not_exist(self, text):
        with pytest.raises(UsageError, match="lruk"):
            parse_policy(text)


class TestTwoQ:
    def test_only_who_returns_is_kept(self):
        # All enter A1in, where A's hit counts for nothing. E and F: A and B leave and are remembered. Both return, enter
        # Am, and C and D leave. A1in (E, F) is at its share of 2 now, so Am gives way for G: A.
        assert story("twoq:kin=0.5", "ABCD A E F A B G", 4) == ". . . . + A B C D A"

    def test_what_left_am_is_not_remembered(self):
        # After that A is unknown again: it enters A1in, which exceeds its share with G: E leaves.
        assert story("twoq:kin=0.5", "ABCD A E F A B G A", 4).split()[-1] == "E"

    @pytest.mark.parametrize("text", ["twoq:kin=1.1", "twoq:kout=-0.1"])
    def test_shares_that_do_not_exist(self, text):
        with pytest.raises(UsageError, match="not within"):
            parse_policy(text)


class TestMq:
    def test_the_often_requested_stand_in_a_higher_queue(self):
        assert story("mq", "AAA B C D E", 3) == ". + + . . B C"

    def test_having_been_requested_often_wears_off(self):
        # A's second request puts it into queue 1. With a lifetime of 2 it falls back when C comes, behind C, and leaves
        # in its turn; otherwise D leaves, which stands in queue 0.
        assert story("mq:lifetime=2", "AA BC D E F", 3) == ". + . . B C A"
        assert story("mq", "AA BC D E F", 3) == ". + . . B C D"

    def test_a_count_goes_on_where_it_was(self):
        # A leaves with 2 requests. It returns and has 3: queue 1, like B, which is older there and leaves for D. If
        # nothing were remembered, A would be in queue 0.
        assert story("mq", "AA BB C A D", 2) == ". + . + A C B"
        assert story("mq:qout=0", "AA BB C A D", 2) == ". + . + A C A"

    @pytest.mark.parametrize("text", ["mq:queues=0", "mq:queues=33", "mq:lifetime=0", "mq:qout=65"])
    def test_queues_that_do_not_exist(self, text):
        with pytest.raises(UsageError, match="mq"):
            parse_policy(text)
