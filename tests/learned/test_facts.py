"""What is remembered of objects: each feature by hand, through evictions, expiry, and clocks that stumble."""

from __future__ import annotations

import numpy as np
import pytest

from evictlab.policies import Setting
from evictlab.policies.learned.candidates import choose, enter, leave, make_candidates, miss, touch
from evictlab.policies.learned.facts import (
    CONTEXT,
    FEATURES,
    HALF_LIVES,
    MISSING,
    N_CONTEXT,
    N_FEATURES,
    PACE_MEMORY,
    describe,
    fetched,
    found,
    make_facts,
    requested,
)

A, B, C = range(3)


def facts_with(times=None, ttls=None, costs=None, n_objects=3):
    columns = (None if c is None else np.asarray(c, t) for c, t in ((times, "f8"), (ttls, "f4"), (costs, "f4")))
    times, ttls, costs = columns
    return make_facts(Setting(n_objects, 100, times=times, ttls=ttls, costs=costs))


def came(facts, obj, now):
    requested(facts, obj, now)
    fetched(facts, obj, now, True)


def hit(facts, obj, now):
    requested(facts, obj, now)
    found(facts, obj, now)


def described(facts, obj, second, size=7):
    row = np.zeros(N_FEATURES, np.float32)
    describe(facts, obj, second, size, row)
    return dict(zip(FEATURES, row.tolist(), strict=True))


def test_each_feature_by_hand():
    facts = facts_with(times=[10, 12, 15, 19, 30], ttls=[60, 60, 5, 60, 60], costs=[0.5, 2, 3, 4, 5])
    came(facts, A, 0)  # at 10 s
    came(facts, B, 1)
    hit(facts, A, 2)  # at 15 s; neither lifetime nor cost of a hit matter
    hit(facts, A, 3)  # at 19 s
    seen = described(facts, A, 30.0)
    recent, steady = seen.pop("recent"), seen.pop("steady")
    assert seen == {
        "age_s": 20,
        "size_bytes": 7,
        "hits": 2,
        "gap_s": 4,
        "ttl_left_s": 40,
        "origin_s": 0.5,
        "idle_s": 11,
        "requests": 3,
        "known_s": 20,
    }
    # Requests number 1, 3 and 4; now it is 4.
    assert recent == pytest.approx(2 ** (-3 / 256) + 2 ** (-1 / 256) + 1, rel=1e-6)
    assert steady == pytest.approx(2 ** (-3 / 4096) + 2 ** (-1 / 4096) + 1, rel=1e-6)
    other = described(facts, B, 30.0)
    assert (other["requests"], other["hits"], other["gap_s"], other["origin_s"]) == (1, 0, MISSING, 2)
    assert other["recent"] == pytest.approx(2 ** (-2 / 256), rel=1e-6)


def test_an_expired_object_is_refreshed_in_place():
    facts = facts_with(times=[0, 4, 10, 12, 15], ttls=[10, 99, 3, 99, 99], costs=[1, 2, 3, 4, 5])
    came(facts, A, 0)
    hit(facts, A, 1)
    assert described(facts, A, 10.0)["ttl_left_s"] == 0  # expired at its very second
    hit(facts, A, 2)  # no hit: it is fetched again, and stays
    seen = described(facts, A, 11.0)
    assert (seen["age_s"], seen["hits"], seen["ttl_left_s"], seen["origin_s"]) == (1, 1, 2, 3)
    assert (seen["requests"], seen["known_s"], seen["gap_s"]) == (3, 11, 6)
    hit(facts, A, 3)
    assert described(facts, A, 12.0)["hits"] == 2
    assert described(facts, A, 14.0)["ttl_left_s"] == 0


def test_what_is_known_outlives_a_stay():
    times = [0.0, 1, 5, 8, 20, 21]
    cache = make_candidates(Setting(3, 100, np.full(3, 7, np.int64), times=np.asarray(times)), 3, 1)

    def comes_in(obj, now):
        miss(cache, obj, now)
        enter(cache, obj)

    comes_in(A, 0)
    touch(cache, A, 1)
    leave(cache, A)
    comes_in(B, 2)
    comes_in(A, 3)
    miss(cache, C, 4)
    assert choose(cache, C, 4, 9, 0) == 3
    assert cache.who.tolist() == [B, A, C]
    ghost = dict(zip(FEATURES, cache.rows[1].tolist(), strict=True))
    assert ghost["hits"] == 0  # of this stay
    assert ghost["age_s"] == ghost["idle_s"] == 12
    assert (ghost["requests"], ghost["known_s"], ghost["gap_s"]) == (3, 20, 7)
    # Requests number 1, 2 and 4 of 5: that of the newcomer counts.
    assert ghost["recent"] == pytest.approx(2 ** (-4 / 256) + 2 ** (-3 / 256) + 2 ** (-1 / 256), rel=1e-6)
    newcomer = dict(zip(FEATURES, cache.rows[2].tolist(), strict=True))
    assert [newcomer[name] for name in ("age_s", "hits", "idle_s", "known_s", "gap_s")] == [0, 0, 0, 0, MISSING]
    assert (newcomer["size_bytes"], newcomer["requests"], newcomer["recent"]) == (9, 1, 1)
    # It does not stay; when it comes again, that is remembered.
    miss(cache, C, 5)
    choose(cache, C, 5, 9, 0)
    assert (cache.rows[2, 3], cache.rows[2, 7], cache.rows[2, 8]) == (1, 2, 1)


def test_a_request_that_is_told_twice_counts_once():
    facts = facts_with(times=[0, 5])
    came(facts, A, 0)
    came(facts, B, 1)
    before = facts.of.copy(), facts.clock.copy()
    came(facts, B, 1)
    assert (facts.of == before[0]).all()
    assert (facts.clock == before[1]).all()


def test_columns_that_are_missing():
    facts = facts_with()
    came(facts, A, 0)
    came(facts, B, 1)
    hit(facts, A, 5)  # without times, requests are a second apart
    seen = described(facts, A, 9.0)
    assert (seen["ttl_left_s"], seen["origin_s"]) == (MISSING, MISSING)
    assert (seen["age_s"], seen["idle_s"], seen["gap_s"], seen["known_s"]) == (9, 4, 5, 9)
    for_ever = facts_with(times=[0.0], ttls=[np.inf])
    came(for_ever, A, 0)
    assert described(for_ever, A, 1e9)["ttl_left_s"] == MISSING


def test_counts_decay_with_requests_to_anyone():
    rng = np.random.default_rng(0)
    asked = rng.choice([A, B, C], 9000, p=[0.05, 0.9, 0.05])
    asked[3000:8900][asked[3000:8900] == A] = B  # nobody asks for A for long
    facts = facts_with()
    for now, obj in enumerate(asked):
        (hit if now > 100 else came)(facts, obj, now)
    for obj in (A, B, C):
        ages = len(asked) - 1 - np.flatnonzero(asked == obj)
        seen = described(facts, obj, float(len(asked)))
        for name, half in zip(("recent", "steady"), HALF_LIVES, strict=True):
            assert seen[name] == pytest.approx((0.5 ** (ages / half)).sum(), rel=1e-5)
        assert seen["requests"] == len(ages)


def test_pace_is_a_mean_that_forgets():
    rng = np.random.default_rng(0)
    gaps = np.where(np.arange(12_000) < 6000, 1.0, 3.0) * rng.exponential(1.0, 12_000)
    times = np.cumsum(gaps)
    facts, expected = facts_with(times=times), 0.0
    for now in range(len(times)):
        requested(facts, now % 3, now)
        if now:
            expected += (times[now] - times[now - 1] - expected) / min(now, PACE_MEMORY)
        if now == 2000:
            assert facts.clock[2] == pytest.approx(gaps[1:2001].mean())
    assert facts.clock[2] == pytest.approx(expected)
    assert 2.2 < expected < 2.8  # 3 s is the present, and 1 s not yet forgotten


def test_the_first_second_does_not_count_as_a_gap():
    facts = facts_with(times=[1e9, 1e9 + 2])
    requested(facts, A, 0)
    assert facts.clock[2] == 0
    requested(facts, A, 1)
    assert facts.clock[2] == 2


def test_requests_that_come_late():
    # In the proxy a response enters with the number of its own request, after later ones have been served.
    facts = facts_with(times=[0, 1, 5, 9])
    came(facts, A, 0)
    came(facts, B, 2)
    came(facts, C, 1)
    assert facts.clock.tolist() == [3, 5, 2.5]  # the clock stands still, and does not go back
    hit(facts, A, 3)
    hit(facts, A, 2)
    seen = described(facts, A, 3.0)
    assert (seen["gap_s"], seen["idle_s"], seen["age_s"]) == (0, 0, 3)
    assert min(described(facts, B, 0.0).values()) >= MISSING


def test_names_are_those_of_the_contract():
    # The order is the wire format of the NGINX module: a change needs a new version there.
    assert list(FEATURES) == [
        *("age_s", "size_bytes", "hits", "gap_s", "ttl_left_s", "origin_s"),
        *("idle_s", "requests", "known_s", "recent", "steady"),
    ]
    assert list(CONTEXT) == ["pace_s", "capacity_bytes", "residents", "need_bytes"]
    assert (N_FEATURES, N_CONTEXT, HALF_LIVES, PACE_MEMORY, MISSING) == (11, 4, (256, 4096), 4096, -1)
