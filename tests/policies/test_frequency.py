"""Frequency policies: why each victim is the victim."""

from __future__ import annotations

import pytest

from evictlab.policies import parse_policy
from evictlab.traces.errors import UsageError

from interpreted import run_policy

A, B, C, D = range(4)
MISS, HIT = 0, 1


def hits(policy, ids, capacity, **kw):
    return run_policy(policy, ids, capacity, **kw)[0]


class TestLfu:
    def test_the_least_frequent_leaves_and_among_equals_the_longest_unseen(self):
        # A has 2 requests when C comes, B has 1: B leaves. C and then B have 1 each: C entered before, so at D, C is gone.
        assert hits("lfu", [A, A, B, C, A, B, A, C], 2) == [MISS, HIT, MISS, MISS, HIT, MISS, HIT, MISS]

    def test_a_hit_renews_the_place_among_equals(self):
        # A, B and C all have 2 requests; A's second is the oldest, so D replaces A, and B and C are still there.
        assert hits("lfu", [A, B, C, A, B, C, D, B, C, A], 3)[6:] == [MISS, HIT, HIT, MISS]

    def test_counts_are_forgotten(self):
        # A leaves with 2 requests when C comes. When it returns, B and C have 3 each and B, longer unseen, leaves.
        # A counts 1 now, so D replaces A, and C stays; had A gone on from 2, it would have 3 like C, and C would leave.
        ids = [A, A, B, B, B, C, C, C, A, D, C]
        assert hits("lfu", ids, 2)[8:] == [MISS, MISS, HIT]
        assert hits("lfu_perfect", ids, 2)[8:] == [MISS, MISS, MISS]

    def test_bytes_are_freed_until_the_newcomer_fits(self):
        # C needs 3 of 4 bytes: B (1 request) and then A (2 requests) leave.
        assert hits("lfu", [A, A, B, C, A], 4, sizes=[2, 2, 2, 3, 2]) == [MISS, HIT, MISS, MISS, MISS]


class TestLfuPerfect:
    def test_counts_are_remembered(self):
        # C replaces B (1 request, A has 2). B returns with its second request, replacing C. When C returns, A and B have 2
        # each, and A, longer unseen, leaves.
        assert hits("lfu_perfect", [A, A, B, C, B, C, A], 2) == [MISS, HIT, MISS, MISS, MISS, MISS, MISS]
        # In-cache LFU has forgotten B's first request: B (1) leaves, and A is still there.
        assert hits("lfu", [A, A, B, C, B, C, A], 2)[-1] == HIT


class TestLfuda:
    def test_the_age_lets_newcomers_pass_old_favourites(self):
        # A has score 3. B leaves at 1, C enters at 1 + 1 = 2, leaves at 2, D enters at 3, equal to A and younger: A leaves.
        ids = [A, A, A, B, C, D, B, A]
        assert hits("lfuda", ids, 2)[-1] == MISS
        assert hits("lfu", ids, 2)[-1] == HIT  # without age A stays for ever

    def test_a_hit_adds_one_count_above_the_present_age(self):
        # Age 1 after B left; A's hit makes it 1 + 4, so C (2), D (3), B (4) pass by below it.
        assert hits("lfuda", [A, A, A, B, C, A, D, B, A], 2)[-1] == HIT


class TestLrfu:
    def test_fading_decides_between_often_and_recent(self):
        # A three times long ago, B once just now.
        ids = [A, A, A, B, C, A]
        assert hits("lrfu:fading=0", ids, 2)[-1] == HIT  # 3 against 1: B left
        assert hits("lrfu:fading=1", ids, 2)[-1] == MISS  # at C, A is worth 1/4 + 1/8 + 1/16 and B 1/2: A left

    def test_in_between_the_sum_counts(self):
        # Half-life 2 requests. At C, A is worth 2^-1 + 2^-1.5 = 0.85 and B 2^-0.5 = 0.71: B leaves.
        assert hits("lrfu:fading=0.5", [A, A, B, C, A], 2)[-1] == HIT
        # Seen only once, A is worth 0.5 at C: A leaves.
        assert hits("lrfu:fading=0.5", [A, B, C, A], 2)[-1] == MISS

    @pytest.mark.parametrize("text", ["-0.1", "1.5", "nan"])
    def test_fading_is_a_share(self, text):
        with pytest.raises(UsageError, match=r"between 0 .* and 1"):
            parse_policy(f"lrfu:fading={text}")
