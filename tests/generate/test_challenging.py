"""Cold-RL's "challenging web" workload: kinds, sizes, lifetimes, the order of its levels, and its authors' results."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from evictlab.sim import replay
from evictlab.sim.purging import replay_purging
from evictlab.traces.errors import UnknownNameError, UsageError
from evictlab.traces.generate import generate
from evictlab.traces.generate.challenging import _KINDS, _compiled, _keys, _Level, _Objects, _walk, challenging
from evictlab.traces.generate.columns import Dice

LEVELS = ("easy", "medium", "hard")


@pytest.fixture(scope="module")
def in_order():
    """One trace of each level, in the order in which requests are drawn."""
    return {level: challenging(level=level, clock="cumulative") for level in LEVELS}


def test_each_kind_has_its_share_of_objects_its_sizes_and_lifetimes():
    objects = _Objects(200_000, Dice(3))
    for kind in _KINDS.values():
        # Origin times tell the kinds apart, but for API calls and static files: those by their lifetimes.
        mine = (
            (objects.origin_s == kind.origin_s) & (objects.ttls_s >= kind.ttl_s[0]) & (objects.ttls_s <= kind.ttl_s[1])
        )
        assert mine.mean() == pytest.approx(kind.share, abs=0.005)
        low, high = kind.bytes
        sizes = objects.sizes[mine]
        assert (sizes.min(), sizes.max()) == (low, high), "the law is wide: both ends are clipped"
        inside = low + 0.3 * (high - low)
        assert np.median(sizes) == pytest.approx(inside, rel=0.05)
        within = (sizes > inside / 2) & (sizes < inside * 2)
        assert within.mean() == pytest.approx(0.512, abs=0.02), "of a normal law, what is within ln 2 of the mean"
        ttls = objects.ttls_s[mine]
        assert ttls.mean() == pytest.approx(sum(kind.ttl_s) / 2, rel=0.02)
    assert objects.sizes.min() == 200
    assert objects.sizes.max() == 50_000_000


def test_a_request_varies_what_its_object_has(in_order):
    trace = in_order["hard"]
    assert 160 <= trace.sizes.min() < 1_000
    assert 45e6 < trace.sizes.max() <= 60e6
    assert trace.ttls.min() == 60
    assert 30 * 86_400 < trace.ttls.max() <= 60 * 86_400
    largest = np.zeros(trace.n_objects, np.int64)
    np.maximum.at(largest, trace.ids, trace.sizes)
    assert (trace.sizes >= largest[trace.ids] * (0.8 / 1.2) - 1).all()
    assert trace.costs.min() >= 0.02
    assert np.corrcoef(trace.costs, trace.sizes)[0, 1] > 0.99


def test_most_requests_repeat_and_harder_levels_spread_them(in_order):
    unseen = [in_order[level].n_objects / 200_000 for level in LEVELS]
    assert unseen == sorted(unseen)
    assert unseen[-1] < 0.05, "what is not a repeat is drawn from the same objects"
    recent = [1 - replay(trace, "lru", "1000obj").frame.miss_ratio.item() for trace in in_order.values()]
    assert recent[0] > recent[1] + 0.1
    assert recent[1] > recent[2] + 0.1


def test_the_scrambled_clock_has_the_same_requests(in_order):
    mixed_up = challenging(level="easy")
    trace = in_order["easy"]
    by_key = [np.sort(np.asarray(one.keys)[one.ids]) for one in (mixed_up, trace)]
    assert (by_key[0] == by_key[1]).all()
    assert (np.diff(mixed_up.times) >= 0).all()
    assert trace.duration_s == pytest.approx(400_000, rel=0.02)
    assert mixed_up.duration_s > 5 * trace.duration_s


def test_without_the_window_four_of_five_requests_are_zipf_in_the_hot_set():
    keys = _keys(100_000, 1_000, _Level(0.0, 1.2, 0.6, 0.3), Dice(1))
    counts = np.bincount(keys, minlength=1_000)
    assert counts[300:].sum() / 100_000 == pytest.approx(0.2 * 0.7, abs=0.005)
    law = np.arange(1, 301) ** -1.2
    expected = 100_000 * (0.8 * law / law.sum() + 0.2 / 1_000)
    assert (np.abs(counts[:300] - expected) < 5 * np.sqrt(expected)).all()


def test_the_window_in_plain_python():
    rng = np.random.default_rng(5)
    drawn, recent, uniform = rng.integers(0, 3_000, 6_000), rng.random(6_000) < 0.5, rng.random(6_000)
    walked = drawn.copy()
    _walk(walked, recent, uniform, 3_000)
    window, left = {}, 0  # object -> weight, in order of entry
    for i, obj in enumerate(drawn.tolist()):
        if recent[i] and window:
            assert walked[i] in window
            left += 1
        else:
            assert walked[i] == obj
        obj = int(walked[i])
        window[obj] = min(window[obj] * 1.1, 10.0) if obj in window else 1.0
        if len(window) > 1_000:
            del window[next(iter(window))]
    assert left > 2_900


def test_the_window_prefers_what_was_asked_for_often():
    # Object 0 is asked for 30 times and weighs 10, objects 1 to 90 weigh 1 each: one draw in ten is object 0.
    n = 20_000
    keys = np.concatenate([np.zeros(30, np.int64), np.arange(1, 91)])
    hits = 0
    for uniform in np.random.default_rng(2).random(n // 10):
        walked = np.append(keys, 0)
        _compiled()(walked, np.append(np.zeros(120, bool), True), np.full(121, uniform), 91)
        hits += walked[-1] == 0
    assert hits / (n // 10) == pytest.approx(0.1, abs=0.02)


# Of the authors' stored results for level hard with 12,000 objects: one run, without a seed. Hit ratios at 100 and 500 MiB.
STORED = {
    ("lru", 100): 0.1465,
    ("lfu", 100): 0.2378,
    ("size", 100): 0.3349,
    ("adaptive_lru", 100): 0.2771,
    ("lru", 500): 0.2573,
    ("lfu", 500): 0.2961,
    ("size", 500): 0.5127,
    ("adaptive_lru", 500): 0.4970,
}


@pytest.fixture(scope="module")
def hard():
    return challenging(n_objects=12_000, level="hard")


@pytest.mark.parametrize(("rule", "mib"), STORED)
def test_the_stored_results(hard, rule, mib):
    ratio, _ = replay_purging(hard, mib << 20, rule, threshold_bytes=2**20, penalty_s=1e12)
    assert ratio == pytest.approx(STORED[rule, mib], abs=0.02)


def test_same_seed_same_trace():
    one, two, other = (generate(f"challenging:requests=2000,level=easy,seed={seed}") for seed in (0, 0, 1))
    for column in ("ids", "sizes", "times", "ttls", "costs"):
        assert (getattr(one, column) == getattr(two, column)).all()
    assert (one.ids != other.ids).any()
    keys = np.asarray(one.keys)[one.ids].astype("<u8")
    assert hashlib.sha256(keys.tobytes()).hexdigest()[:16] == "bf1f3022abc2ea27"


def test_wrong_specs():
    with pytest.raises(UnknownNameError, match="unknown level 'brutal'"):
        generate("challenging:level=brutal")
    with pytest.raises(UnknownNameError, match="unknown clock 'wall'"):
        generate("challenging:clock=wall")
    with pytest.raises(UsageError, match="n_objects=5 must be from 10"):
        generate("challenging:objects=5")
