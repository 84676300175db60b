"""Laws of the asynchronous proxy, for every policy that can do it: whatever happens, the books are right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from every_policy import EVERY, can, modes, short_trace
from hypothesis import given, settings
from hypothesis import strategies as st

from evictlab.policies.contract import find
from evictlab.sim.proxy import SYNC, CacheManager, ProxyConfig, runs, simulate_proxy
from evictlab.sim.proxy.follower import Follower
from evictlab.sim.proxy.outcome import status, was_served
from evictlab.sim.proxy.zone import Zone
from evictlab.traces.errors import CapabilityError
from evictlab.traces.request import RequestTrace

pytestmark = pytest.mark.usefixtures("plug_in")
every = pytest.mark.parametrize("policy", EVERY, indirect=True)


class Watched(Zone):
    """A zone that counts anew after every change, and says when it shrank."""

    def fill(self, node, charged, body, now):
        super().fill(node, charged, body, now)
        self.check()

    def remove(self, obj, now):
        super().remove(obj, now)
        shrank.append(now)
        self.check()

    def check(self):
        on_disk = [node for node in self.values() if node.resident]
        assert self.meter.bytes == sum(node.charged for node in on_disk)
        assert self.meter.objects == len(on_disk)
        assert self.limit is None or len(self) <= self.limit
        assert all(node.in_use >= 0 for node in self.values())


shrank: list[int] = []
followers: list[Follower] = []


@pytest.fixture
def watched(monkeypatch):
    """Zones are watched, and the follower is kept to be looked at."""

    def follow(*args: Any) -> Follower:
        followers.append(Follower(*args))
        return followers[-1]

    monkeypatch.setattr(runs, "Zone", Watched)
    monkeypatch.setattr(runs, "Follower", follow)
    shrank.clear()
    followers.clear()


def a_trace(seed: int) -> RequestTrace:
    columns = short_trace(seed, 400)
    return RequestTrace(n_objects=int(columns["ids"].max()) + 1, **columns)


MODES = [
    {"origin": 0.0},
    {"origin": 1.5, "lock": True, "ttl": "trace", "use_stale_updating": True, "inactive_s": 20.0},
    {"origin": "lognormal:median=2s:sigma=1", "ttl": 9.0, "min_uses": 2, "keys_zone_nodes": 9, "block_bytes": 4},
    {
        "origin": 0.7,
        "lock": True,
        "lock_poll_s": 0.0,
        "lock_timeout_s": 0.5,
        "origin_concurrency": 2,
        "revalidate": True,
    }
    | {"ttl": 6.0, "decision_latency": "lognormal:median=1s:sigma=0.5", "deadline_s": 1.0, "keys_zone_nodes": 7},
]


@every
def test_whatever_happens_the_books_are_right(policy, watched):
    for seed, mode in enumerate(MODES):
        if not all(part.spec.sizes for part in policy.parts()):
            with pytest.raises(CapabilityError, match="sync"):
                simulate_proxy(a_trace(0), policy, ProxyConfig("20B", **mode))
            continue
        given = {"block_bytes": 0, "manager": CacheManager(3.0, files=2, first_wake_s=1.0)} | mode
        if not can(policy, "ttl"):
            given = {name: value for name, value in given.items() if name != "ttl"}
        trace = a_trace(seed)
        found = simulate_proxy(trace, policy, ProxyConfig("20B", **given), seed=seed)
        follower = followers[-1]

        counts = found.counts()
        assert sum(counts[name] for name in ("miss", "hit", "expired", "stale", "updating", "revalidated")) == len(
            trace
        )
        assert found.origin_requests == len(trace) - counts["hit"] - counts["updating"] - found.refused
        assert (found.latency >= 0).all()
        if "origin_concurrency" in mode:
            assert found.origin_peak <= 2
        assert found.decisions_ok + found.decisions_late + found.decisions_without >= found.forced - found.wakes * 2
        stored = follower._stored
        assert stored is not None
        held = {obj for obj in range(trace.n_objects) if find(follower.state, obj)}
        assert follower._held == held, "the follower knows what the policy holds"
        assert follower._free == 20 - stored.sum() == 20 - stored[list(held)].sum()
        again = simulate_proxy(trace, policy, ProxyConfig("20B", **given), seed=seed)
        assert again.outcomes.tolist() == found.outcomes.tolist()
        assert again.latency.tolist() == found.latency.tolist()


@every
def test_without_a_manager_the_disk_is_never_too_full(policy, watched):
    for with_sizes in modes(policy):
        for delay, zone in ((1.5, None), ("lognormal:median=2s:sigma=1", 9)):
            given = {
                "origin": delay,
                "keys_zone_nodes": zone,
                "block_bytes": 0,
                "ttl": "trace" if can(policy, "ttl") else None,
            }
            found = simulate_proxy(a_trace(4), policy, ProxyConfig("20B" if with_sizes else "5obj", SYNC, **given))
            follower = followers[-1]
            assert found.disk_peak <= found.capacity and found.overshoot <= 0
            assert follower._held == {obj for obj in range(14) if find(follower.state, obj)}
            assert found.origin_requests == len(found.outcomes) - found.counts()["hit"] - found.refused


def test_only_the_manager_makes_the_disk_emptier(watched):
    config = ProxyConfig("20B", CacheManager(first_wake_s=1.0), block_bytes=0, origin=0.3)
    found = simulate_proxy(a_trace(1), "gdsf", config)
    begin = a_trace(1).times[0]
    wakes = {round(1e9 * (t + begin % 1)) for t in found.series_s.tolist()}
    assert shrank and set(shrank) <= wakes


@pytest.mark.parametrize("name", ["lru", "fifo"])
def test_a_manager_that_never_sleeps_is_the_synchronous_one(name):
    # It evicts when the size is reached and not when it is exceeded: six objects with a manager are five without.
    # Requests come a second apart, so that it always comes between two of them. Only policies that do not know their
    # capacity and would never name the newcomer can be the same.
    ids = short_trace(3, 300)["ids"]
    trace = RequestTrace(ids, 14, times=np.arange(300.0))
    eager = simulate_proxy(trace, name, ProxyConfig("6obj", CacheManager(0.1, first_wake_s=0.5), origin=0.0))
    sync = simulate_proxy(trace, name, ProxyConfig("5obj", SYNC, origin=0.0))
    assert eager.outcomes.tolist() == sync.outcomes.tolist()


def test_one_that_sleeps_longer_serves_more_and_holds_more():
    trace = a_trace(2)
    configs = [ProxyConfig("20B", CacheManager(seconds), block_bytes=0, origin=0.0) for seconds in (0.5, 5.0, 50.0)]
    ratios, peaks = zip(
        *((r.hit_ratio, r.disk_peak) for r in (simulate_proxy(trace, "lru", c) for c in configs)), strict=True
    )
    assert list(ratios) == sorted(ratios) and list(peaks) == sorted(peaks) and ratios[0] < ratios[2]


def test_what_is_larger_than_the_cache_is_stored_and_evicted_again():
    trace = RequestTrace(np.array([0, 1, 0, 0], np.int32), 2, np.array([50, 5, 50, 50]), np.array([0.0, 1, 2, 25]))
    found = simulate_proxy(trace, "lru", ProxyConfig("20B", block_bytes=0, origin=0.0))
    assert was_served(found.outcomes).tolist() == [False, False, True, False]
    sync = simulate_proxy(trace, "lru", ProxyConfig("20B", SYNC, block_bytes=0, origin=0.0))
    assert not was_served(sync.outcomes).any()
    assert status(sync.outcomes).tolist() == [0] * 4


DELAYS = st.sampled_from(["trace", 0.0, 0.7, "lognormal:median=1s:sigma=1", "100ms+4B/s"])
MANAGERS = st.builds(
    CacheManager,
    st.sampled_from([10, 1, 0.3]),
    st.sampled_from([1, 3, 100]),
    st.sampled_from([0.2, 0.0]),
    st.sampled_from([0.05, 0.5]),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([0.0, 2.0]),
)
CONFIGS = st.builds(
    ProxyConfig,
    size=st.sampled_from(["9B", "20B", "8obj"]),
    manager=st.one_of(st.just(SYNC), MANAGERS),
    inactive_s=st.sampled_from([600, 3.0, 0.0]),
    keys_zone_nodes=st.sampled_from([None, 1, 5, 12]),
    block_bytes=st.sampled_from([0, 4]),
    min_uses=st.integers(1, 3),
    lock=st.booleans(),
    lock_age_s=st.sampled_from([5, 0.7, 0.0]),
    lock_timeout_s=st.sampled_from([5, 0.6, 0.0]),
    lock_poll_s=st.sampled_from([0.5, 0.0]),
    ttl=st.sampled_from([None, "trace", 1.0, 0.0]),
    whole_seconds=st.booleans(),
    revalidate=st.booleans(),
    use_stale_updating=st.booleans(),
    origin=DELAYS,
    origin_concurrency=st.sampled_from([None, 1, 3]),
    workers=st.integers(1, 2),
    service_s=st.sampled_from([0.0, 0.2]),
    worker_connections=st.sampled_from([None, 1, 4]),
    client_bytes_per_s=st.sampled_from([None, 5.0]),
)


@given(
    config=CONFIGS,
    name=st.sampled_from(["lru", "gdsf", "s3fifo", "arc", "lecar", "belady", "belady_size"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_any_configuration_answers_everybody_once(config, name, seed):
    found = simulate_proxy(a_trace(seed), name, config, seed=seed)
    counts = found.counts()
    fetched = sum(counts[word] for word in ("miss", "expired", "revalidated", "stale"))
    assert found.origin_requests == fetched - found.refused
    assert (found.latency >= 0).all() and 0 <= found.disk_final <= found.disk_peak
    assert config.manager is not SYNC or found.overshoot <= 0
