"""Offline policies: why each victim is the victim."""

from __future__ import annotations

import numpy as np
import pytest

from evictlab.policies import Setting, parse_policy
from evictlab.traces.errors import CapabilityError, UsageError

from interpreted import run_policy

A, B, C, D = range(4)
MISS, HIT, REFUSED = 0, 1, 3


def hits(policy, ids, capacity, **kw):
    return run_policy(policy, ids, capacity, **kw)[0]


class TestBelady:
    def test_who_is_needed_last_leaves(self):
        # At C: A is needed next, B in two, so B leaves. At B: A is never needed again and leaves; C is there at the end.
        assert hits("belady", [A, B, C, A, B, C], 2) == [MISS, MISS, MISS, HIT, MISS, HIT]

    def test_who_is_never_needed_leaves_first(self):
        # At C, B has no next request, A a distant one.
        assert hits("belady", [A, B, C, C, C, A], 2) == [MISS, MISS, MISS, HIT, HIT, HIT]

    def test_every_miss_must_enter(self):
        # C is never needed, and still takes the place of B, the one needed later.
        assert hits("belady", [A, B, C, A, B], 2) == [MISS, MISS, MISS, HIT, MISS]

    def test_with_bypass_the_newcomer_may_be_the_one(self):
        assert hits("belady:bypass=true", [A, B, C, A, B], 2) == [MISS, MISS, REFUSED, HIT, HIT]
        # C is needed, but later than both; the last C is not needed at all.
        assert hits("belady:bypass=true", [A, B, C, A, B, C], 2) == [MISS, MISS, REFUSED, HIT, HIT, REFUSED]

    def test_bytes_are_freed_until_the_newcomer_fits(self):
        # C needs 3 of 4 bytes: both leave.
        assert hits("belady", [A, B, C, A, B, C], 4, sizes=[2, 2, 3, 2, 2, 3])[:4] == [MISS, MISS, MISS, MISS]

    def test_a_live_server_has_no_future(self):
        with pytest.raises(CapabilityError, match="whole trace"):
            parse_policy("belady").make(Setting(n_objects=3, capacity=2))


class TestBeladySize:
    def test_size_times_distance_decides(self):
        # At C (1 byte): A holds 1 byte for 3 requests, B 3 bytes for 2: B leaves although it is needed sooner.
        sizes = [1, 3, 1, 1, 3, 1]
        assert hits("belady_size:samples=0", [A, B, C, C, B, A], 4, sizes=sizes)[-1] == HIT
        assert hits("belady", [A, B, C, C, B, A], 4, sizes=sizes)[-2:] == [HIT, MISS]

    def test_who_is_never_needed_does_not_push_others_out(self):
        assert hits("belady_size", [A, B, C, A, B], 2) == [MISS, MISS, REFUSED, HIT, HIT]

    def test_a_larger_sample_is_nearer_to_looking_at_all(self):
        rng = np.random.default_rng(3)
        ids = np.minimum(rng.zipf(1.1, 3000), 400)
        sizes = rng.integers(1, 100, 401)[ids]
        few, many, every = (
            sum(outcome == HIT for outcome in hits(f"belady_size:samples={n}", ids, 3000, sizes=sizes))
            for n in (1, 32, 0)
        )
        assert few < 0.97 * many
        assert abs(many - every) < 0.01 * every

    def test_a_sample_has_no_negative_size(self):
        with pytest.raises(UsageError, match="negative"):
            parse_policy("belady_size:samples=-1")
