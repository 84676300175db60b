"""Size-aware policies: why each victim is the victim."""

from __future__ import annotations

from interpreted import run_policy

A, B, C, D, E = range(5)
MISS, HIT, REFUSED = 0, 1, 3


def hits(policy, ids, capacity, **kw):
    return run_policy(policy, ids, capacity, **kw)[0]


class TestSize:
    def test_the_largest_leaves_whatever_its_merits(self):
        # B is largest and was just requested; it leaves for C.
        assert hits("size", [A, B, B, C, A, B], 5, sizes=[1, 4, 4, 1, 1, 4]) == [MISS, MISS, HIT, MISS, HIT, MISS]

    def test_among_equals_the_longest_unseen(self):
        # A and B have 2 bytes; A was requested after B.
        assert hits("size", [A, B, A, C, A], 5, sizes=[2, 2, 2, 2, 2])[-1] == HIT


class TestGds:
    def test_small_objects_outlive_large_ones(self):
        # Scores 1/1, 1/4; the large B leaves although A is older.
        assert hits("gds", [A, B, C, A], 5, sizes=[1, 4, 1, 1])[-1] == HIT

    def test_the_age_rises_with_the_victims(self):
        # A: 1/2. B leaves at 1/3: age 1/3. C enters at 1/3 + 1/3 = 2/3, above A. D: A leaves.
        assert hits("gds", [A, B, C, D, C, A], 5, sizes=[2, 3, 3, 2, 3, 2]) == [MISS, MISS, MISS, MISS, HIT, MISS]

    def test_costs_weigh(self):
        # Same size; a miss of A takes 9 seconds, of B one second, so the younger B leaves.
        run = {"sizes": [2, 2, 2, 2], "costs": [9, 1, 5, 9]}
        assert hits("gds", [A, B, C, A], 4, **run)[-1] == HIT
        assert hits("gds:weigh_costs=false", [A, B, C, A], 4, **run)[-1] == MISS

    def test_a_cheaper_request_does_not_lower_a_resident(self):
        # A came for 9 seconds; its second request would have taken none. B (5) leaves.
        assert hits("gds", [A, B, A, C, A], 2, costs=[9, 5, 0, 1, 1])[-1] == HIT


class TestGdsf:
    def test_requests_times_cost_over_size(self):
        # A: 3 requests / 3 bytes = 1. B: 1 / 2 bytes. B leaves although it is smaller and younger.
        assert hits("gdsf", [A, A, A, B, C, A], 5, sizes=[3, 3, 3, 2, 1, 3])[-1] == HIT

    def test_the_newcomer_is_scored_before_room_is_made(self):
        # At the first C: A 2, B 1, C 0 + 1. B leaves (as old as it gets), the age is 1.
        # At the second B, which is scored 1 + 1: C (1) leaves, and A (2) is still there.
        # Had C been scored after B left, 1 + 1, then A, equal and longer unseen, would have left.
        assert hits("gdsf", [A, A, B, C, B, A], 2) == [MISS, HIT, MISS, MISS, MISS, HIT]

    def test_the_newcomer_is_refused_when_its_score_is_the_lowest(self):
        # A 2, B 2; C scores 1 and does not stay, but the age becomes 1. Its second request scores 1 + 1 = 2: A leaves.
        assert hits("gdsf", [A, A, B, B, C, C, B, A], 2)[4:] == [REFUSED, MISS, HIT, MISS]

    def test_a_refused_newcomer_may_have_pushed_others_out(self):
        # One byte each: D 1, A 1, B 3. For E (1), D leaves and the age becomes 1. C needs all 3 bytes and scores 1 + 1/3:
        # A (1) and E (1) leave, then C is lower than B and does not stay.
        ids, sizes = [D, A, B, B, B, E, C, B, A], [1, 1, 1, 1, 1, 1, 3, 1, 1]
        assert hits("gdsf", ids, 3, sizes=sizes)[5:] == [MISS, REFUSED, HIT, MISS]
