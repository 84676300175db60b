"""Admission: what each rule lets in, told in a few requests; and what may be composed with what."""

from __future__ import annotations

import numpy as np
import pytest

from evictlab.policies import Setting, parse_policy
from evictlab.policies.cache.compose import record
from evictlab.sim.loop import HIT, MISS, REFUSED_MISS
from evictlab.traces.errors import CapabilityError, UnknownNameError, UsageError

from interpreted import run_policy

A, B, C, D = range(4)


class TestStories:
    def test_tinylfu_lets_in_who_is_asked_for_more_often_than_the_victim(self):
        outcomes, _ = run_policy("tinylfu+lru", [B, A, A, C, C, A, C], 2)
        # B and A enter, as there is room. C is asked for once, like the victim B: refused. The second request of C makes
        # two against B's one: B leaves. A stays throughout, and C is found.
        assert outcomes == [MISS, MISS, HIT, REFUSED_MISS, MISS, HIT, HIT]

    def test_tinylfu_loses_victims_that_were_beaten_even_when_the_next_one_stands(self):
        ids, sizes = [A, B, B, B, C, C, A, B], [1, 1, 1, 1, 2, 2, 1, 1]
        outcomes, counts = run_policy("tinylfu+lru", ids, 2, sizes)
        # C needs the room of both. Its first request ties with A's one: refused. Its second beats A (2 to 1), which
        # leaves, but not B (2 to 3): refused. So A is missed next, and B was kept.
        assert outcomes == [MISS, MISS, HIT, HIT, REFUSED_MISS, REFUSED_MISS, MISS, HIT]
        assert counts[4] == 1  # evictions

    def test_bloom_lets_in_at_the_second_miss(self):
        outcomes, _ = run_policy("bloom+lru", [A, B, A, A, B, C], 2)
        assert outcomes == [REFUSED_MISS, REFUSED_MISS, MISS, HIT, MISS, REFUSED_MISS]

    def test_size_threshold_is_about_the_newcomer_only(self):
        outcomes, _ = run_policy("size_threshold:limit_bytes=10+lru", [A, B, C, A, B], 100, sizes=[9, 10, 11, 9, 3])
        assert outcomes == [MISS, REFUSED_MISS, REFUSED_MISS, HIT, MISS]

    def test_prob_lets_in_the_share_that_was_asked(self):
        ids = np.arange(20_000)
        outcomes, _ = run_policy("prob:prob=0.3+fifo", ids, 10, seed=1)
        assert outcomes.count(MISS) / len(ids) == pytest.approx(0.3, abs=0.015)  # five standard errors

    def test_prob_of_one_is_no_rule(self):
        ids = np.random.default_rng(0).integers(0, 30, 500)
        assert run_policy("prob:prob=1+lru", ids, 7)[0] == run_policy("lru", ids, 7)[0]

    def test_adaptsize_lets_in_nearly_all_before_it_has_seen_an_interval(self):
        """c = capacity = 1000: a size of 1 enters with probability 0.999, one of 1000 with 0.37."""
        ids, sizes = np.arange(4000), np.where(np.arange(4000) % 2, 1, 1000)
        outcomes = np.array(run_policy("adaptsize:interval=100000+lru", ids, 1000, sizes)[0])
        assert (outcomes[sizes == 1] == MISS).mean() > 0.99
        assert (outcomes[sizes == 1000] == MISS).mean() == pytest.approx(np.exp(-1), abs=0.05)


def two_kinds(n_requests: int) -> tuple[np.ndarray, np.ndarray]:
    """Fifty small objects, asked for often, and large ones that come once: to be kept out, whatever LRU thinks."""
    rng = np.random.default_rng(4)
    small = rng.random(n_requests) < 0.6
    ids = np.where(small, rng.integers(0, 50, n_requests), 50 + np.arange(n_requests))
    ids = np.unique(ids, return_inverse=True)[1]
    return ids, np.where(small, 10, 400)


class TestAdaptSize:
    def test_learns_to_keep_large_objects_out(self):
        ids, sizes = two_kinds(12_000)
        misses = {}
        for policy in ("lru", "adaptsize:interval=2000+lru"):
            outcomes = np.array(run_policy(policy, ids, 600, sizes)[0])
            misses[policy] = (outcomes[6000:] != HIT).mean()
        # The small ones fit (500 bytes of 600): the best is to miss the large alone, 40 %.
        assert misses["lru"] > 0.85
        assert misses["adaptsize:interval=2000+lru"] < 0.43

    def test_leaves_c_alone_while_everything_fits(self):
        ids, sizes = two_kinds(300)
        footprint = int(sizes[np.unique(ids, return_index=True)[1]].sum())
        for capacity in (footprint, footprint // 20):
            rule = parse_policy("adaptsize:interval=300").make_rule(
                Setting(ids.max() + 1, capacity, np.zeros(400, np.int64))
            )
            for now, (obj, size) in enumerate(zip(ids, sizes, strict=True)):
                record(rule, obj, now, size)
            assert (rule.c[0] == capacity) == (capacity == footprint)


class TestComposition:
    def test_the_label_is_what_was_written(self):
        policy = parse_policy("tinylfu:sample=5+sieve")
        assert policy.label == "tinylfu:sample=5+sieve"
        assert parse_policy(policy.label) == policy
        assert [part.spec.name for part in policy.parts()] == ["tinylfu", "sieve"]
        assert policy.parameters() == {"tinylfu": {"sample": 5}, "sieve": {}}

    @pytest.mark.parametrize(
        ("text", "error", "says"),
        [
            ("lru+fifo", UsageError, "'lru' is no admission rule"),
            ("bloom+tinylfu", UsageError, "'tinylfu' evicts nothing"),
            ("bloom+prob+lru", UsageError, "two admission rules"),
            ("blom+lru", UnknownNameError, "Did you mean 'bloom'"),
            ("bloom+", UnknownNameError, "unknown policy ''"),
            ("prob:prob=0+lru", UsageError, "prob=0.0 .* above 0 and at most 1"),
            ("prob:prob=nan+lru", UsageError, "above 0 and at most 1"),
            ("size_threshold:limit_bytes=1+lru", UsageError, "at least 2"),
            ("tinylfu:sample=0+lru", UsageError, "at least 1"),
            ("adaptsize:interval=0+lru", UsageError, "at least 1"),
            ("wtinylfu:window=1.5", UsageError, "from 0 to 1"),
            ("wtinylfu:sample=0", UsageError, "at least 1"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, text, error, says):
        with pytest.raises(error, match=says):
            parse_policy(text)

    def test_weighing_needs_a_victim_with_a_name(self):
        with pytest.raises(CapabilityError, match="wtinylfu cannot name its victim"):
            parse_policy("tinylfu+wtinylfu").make(Setting(10, 3))


class TestWindow:
    def test_who_leaves_the_window_must_be_asked_for_more_often_than_the_main_cache_s_oldest(self):
        # Capacity 3: a window of one, and a main cache of two, one of them protected.
        outcomes, _ = run_policy("wtinylfu", [A, B, C, D, C, A, B, C, D, C, A], 3)
        # A, B, C enter; the window passes A and B on to probation. D pushes C out of the window, which has one request
        # like A, the oldest on probation: C leaves. In the same way C pushes D out. A and B are found; so is C, its third
        # request. Now D pushes C out of the window again: three requests against A's two, so A leaves. C is found, A not.
        assert outcomes == [MISS, MISS, MISS, MISS, MISS, HIT, HIT, HIT, MISS, HIT, MISS]

    def test_a_scan_passes_through_the_window(self):
        rng = np.random.default_rng(0)
        warm = rng.integers(0, 18, 400)
        ids = np.concatenate([warm, np.arange(100, 400), np.arange(18)])
        misses = {p: run_policy(p, ids, 20)[0][-18:].count(HIT) for p in ("wtinylfu:adaptive=false", "lru")}
        assert misses["wtinylfu:adaptive=false"] >= 14 and misses["lru"] == 0

    def test_the_window_grows_when_recency_pays(self):
        """Each object is asked for three times in a row and never again: what counts is to keep the newest."""
        ids = np.repeat(np.arange(4000), 3)
        ids = ids.reshape(-1, 30)[:, np.random.default_rng(0).permutation(30)].ravel()  # within ten objects, shuffled
        hits = {p: run_policy(p, ids, 20)[0][6000:].count(HIT) for p in ("wtinylfu", "wtinylfu:adaptive=false", "lru")}
        assert hits["wtinylfu:adaptive=false"] < hits["wtinylfu"] <= hits["lru"]
        assert hits["lru"] - hits["wtinylfu"] < 0.5 * (hits["lru"] - hits["wtinylfu:adaptive=false"])
