"""Admission and W-TinyLFU beside libcachesim: equal where the rule is exact, near where it draws lots or is tuned."""

from __future__ import annotations

import numpy as np
import pytest

from evictlab.sim.loop import HIT

from interpreted import run_policy

N_REQUESTS = 60_000


@pytest.fixture(scope="module")
def web() -> tuple[np.ndarray, np.ndarray]:
    """Zipf requests of objects whose sizes, like those of the web, differ a thousandfold."""
    rng = np.random.default_rng(2)
    weights = np.arange(1, 8001) ** -0.9
    keys = np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(N_REQUESTS))
    size_of = rng.lognormal(8, 2, 8000).clip(1, 1e6).astype(np.int64)
    return np.unique(keys, return_inverse=True)[1], size_of[keys]


def ours(text, ids, capacity, sizes=None) -> np.ndarray:
    return np.array(run_policy(text, ids, capacity, sizes, compiled=True)[0]) == HIT


def theirs(cache_class, ids, capacity, sizes=None, **parameters) -> np.ndarray:
    libcachesim = pytest.importorskip("libcachesim")
    cache = getattr(libcachesim, cache_class)(capacity, hashpower=14, **parameters)
    request, found = libcachesim.Request(), []
    for i, obj in enumerate(ids.tolist()):
        request.obj_id, request.obj_size = obj, 1 if sizes is None else int(sizes[i])
        found.append(cache.get(request))
    return np.array(found)


def rule(name, *parameters, **named):
    return getattr(pytest.importorskip("libcachesim"), name)(*parameters, **named)


@pytest.mark.peers
class TestBesideLibcachesim:
    def test_second_hit(self, web):
        ids, sizes = web
        its = theirs("LRU", ids, 5_000_000, sizes, admissioner=rule("BloomFilterAdmissioner"))
        assert (ours("bloom+lru", ids, 5_000_000, sizes) == its).all()

    def test_size_threshold(self, web):
        ids, sizes = web
        its = theirs("LRU", ids, 5_000_000, sizes, admissioner=rule("SizeAdmissioner", 20_000))
        assert (ours("size_threshold:limit_bytes=20000+lru", ids, 5_000_000, sizes) == its).all()

    def test_probability(self, web):
        ids, sizes = web
        its = theirs("LRU", ids, 5_000_000, sizes, admissioner=rule("ProbAdmissioner", 0.2))
        assert ours("prob:prob=0.2+lru", ids, 5_000_000, sizes).mean() == pytest.approx(its.mean(), abs=0.005)

    @pytest.mark.parametrize("capacity", [2_000_000, 10_000_000])
    def test_adaptsize_once_it_is_tuned(self, web, capacity):
        """Theirs starts with c = 32 KiB, ours admitting all: compared from the third interval on."""
        ids, sizes = web
        its = theirs("LRU", ids, capacity, sizes, admissioner=rule("AdaptSizeAdmissioner", reconf_interval=10_000))
        it = ours("adaptsize:interval=10000+lru", ids, capacity, sizes)
        lru = ours("lru", ids, capacity, sizes)[20_000:].mean()
        assert it[20_000:].mean() > its[20_000:].mean() - 0.03
        assert it[20_000:].mean() > lru + 0.1

    @pytest.mark.parametrize("capacity", [200, 800])
    def test_wtinylfu_with_a_fixed_window(self, web, capacity):
        """Its sketch is another one and does not count hits in the window: near, not equal. (Below 100 its window is empty.)"""
        ids, _ = web
        its = theirs("WTinyLFU", ids, capacity).mean()
        assert ours("wtinylfu:adaptive=false", ids, capacity).mean() == pytest.approx(its, abs=0.015)


class TestAdaptiveWindow:
    """Caffeine's reason to adapt: real traces where one per cent of window is far too little."""

    def test_on_a_trace_without_repeats_beyond_the_recent(self, shared_data):
        from evictlab.traces import open_trace

        trace = open_trace(shared_data / "kv" / "corda-vaultservice.trace.gz")
        hit = {text: ours(text, trace.ids, 1000).mean() for text in ("lru", "wtinylfu", "wtinylfu:adaptive=false")}
        assert hit["wtinylfu:adaptive=false"] < 0.02 < 0.25 < hit["wtinylfu"] <= hit["lru"]

    def test_costs_little_where_frequency_rules(self, web):
        ids, _ = web
        fixed, adaptive = (ours(text, ids, 800).mean() for text in ("wtinylfu:adaptive=false", "wtinylfu"))
        assert adaptive > fixed - 0.02
