"""The law that ties the two engines: with no delay anywhere and no manager, the proxy is the replay, request by request."""

from __future__ import annotations

import numpy as np
import pytest
from every_policy import EVERY, can, modes, run, short_trace
from hypothesis import given
from hypothesis import strategies as st

from evictlab.policies import parse_policy
from evictlab.sim import loop as at
from evictlab.sim.job import Job
from evictlab.sim.proxy import SYNC, ProxyConfig, simulate_proxy
from evictlab.sim.proxy import outcome as of
from evictlab.traces import open_trace
from evictlab.traces.request import RequestTrace

from interpreted import run_policy

pytestmark = pytest.mark.usefixtures("plug_in")
every = pytest.mark.parametrize("policy", EVERY, indirect=True)


def as_replay(outcomes: np.ndarray) -> list[int]:
    """Outcomes of the proxy in the words of the replay."""
    words = {of.EXPIRED | of.UNCACHED: at.EXPIRED_MISS}  # the policy threw it out at once
    words |= {of.MISS: at.MISS, of.HIT: at.HIT, of.EXPIRED: at.EXPIRED_MISS, of.MISS | of.UNCACHED: at.REFUSED_MISS}
    return [words[outcome] for outcome in outcomes.tolist()]


@every
def test_without_delays_the_proxy_is_the_replay(policy):
    for with_sizes in modes(policy):
        for seed, capacity in enumerate((1, 4, 9, 25) if with_sizes else (1, 2, 6)):
            columns = short_trace(seed)
            unit = "B" if with_sizes else "obj"
            if not with_sizes:
                columns = {"ids": columns["ids"], "times": columns["times"]}
            trace = RequestTrace(n_objects=int(columns["ids"].max()) + 1, **columns)
            ttl = "trace" if with_sizes and can(policy, "ttl") else None
            config = ProxyConfig(f"{capacity}{unit}", SYNC, block_bytes=0, origin=0.0, ttl=ttl)
            found = simulate_proxy(trace, policy, config, seed=seed)
            expected = run(policy, short_trace(seed), capacity, with_sizes, seed)
            assert as_replay(found.outcomes) == expected
            assert not found.latency.any()


@every
def test_also_when_what_counts_objects_expires(policy):
    if not can(policy, "ttl"):
        return
    columns = short_trace(5)
    ids, times = columns["ids"], columns["times"]
    trace = RequestTrace(ids, int(ids.max()) + 1, times=times)
    found = simulate_proxy(trace, policy, ProxyConfig("4obj", SYNC, origin=0.0, ttl=7.0), seed=1)
    ttls = np.full(len(ids), 7.0, np.float32)
    assert as_replay(found.outcomes) == run_policy(policy, ids, 4, times=times, ttls=ttls, seed=1)[0]


@pytest.mark.parametrize("name", ["lru", "gdsf", "s3fifo", "adaptsize+lru", "arc"])
def test_also_compiled_on_a_longer_trace_with_epoch_times(name):
    rng = np.random.default_rng(5)
    ids = (rng.zipf(1.3, 3000) % 200).astype(np.int32)
    sizes, costs = rng.integers(1, 5000, 200)[ids], rng.random(200).astype(np.float32)[ids]
    times = 1.7e9 + np.cumsum(rng.exponential(0.37, 3000))
    ttls = rng.choice(np.array([0.1, 7.3, np.inf], np.float32), 200)[ids]
    trace = RequestTrace(ids, 200, sizes, times, ttls, costs)
    config = ProxyConfig("60kB", SYNC, block_bytes=0, origin=0.0, ttl="trace")
    found = simulate_proxy(trace, name, config, seed=2)
    outcomes, counts = run_policy(name, ids, 60_000, sizes, times, ttls, costs, 2, compiled=True)
    assert as_replay(found.outcomes) == outcomes
    assert found.evictions == counts[at.EVICTIONS]
    assert found.disk_final == counts[at.USED]


@given(
    ids=st.lists(st.integers(0, 5), min_size=1, max_size=60),
    gaps=st.lists(st.sampled_from([0.0, 0.1, 0.3, 1.0, 2.5]), min_size=60, max_size=60),
    ttl=st.sampled_from([0.1, 0.5, 0.7, 3.0]),
    capacity=st.integers(1, 20),
)
def test_for_any_times_and_lifetimes(ids, gaps, ttl, capacity):
    times = np.cumsum(gaps)[: len(ids)]
    sizes = 1 + np.array(ids) * 2
    trace = RequestTrace(np.array(ids, np.int32), 6, sizes, times)
    found = simulate_proxy(trace, "lru", ProxyConfig(f"{capacity}B", SYNC, block_bytes=0, origin=0.0, ttl=ttl))
    ttls = np.full(len(ids), ttl, np.float32)
    # A lifetime given in seconds becomes the float32 that the replay takes.
    assert as_replay(found.outcomes) == run_policy("lru", ids, capacity, sizes, times, ttls)[0]


@pytest.mark.parametrize("file", ["block/cachelib-block_traces_1.csv.zst", "web/webcachesim-test.tr.zst"])
def test_on_real_traces(shared_data, file):
    trace = open_trace(shared_data / file, cache=False, limit=20_000)
    job = Job(trace, parse_policy("s3fifo"), trace.footprint_bytes // 20, byte_sizes=True)
    job.run(len(trace))
    config = ProxyConfig(f"{job.capacity}B", SYNC, block_bytes=0, origin=0.0)
    found = simulate_proxy(trace, "s3fifo", config)
    assert found.counts()["hit"] == job.counts[at.HITS] > 0
    assert found.evictions == job.counts[at.EVICTIONS]
