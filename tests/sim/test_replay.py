"""Replaying: what is counted, from where, in which order, and what is refused."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass

import numpy as np
import pytest

from evictlab.policies import Policy, parse_policy, policy
from evictlab.sim import Job, replay
from evictlab.sim.runs import plan_runs, run_all
from evictlab.traces import RequestTrace
from evictlab.traces.errors import CapabilityError, EvictlabError, UnitError, UnknownNameError, UsageError

from interpreted import run_policy


def small_trace(**columns) -> RequestTrace:
    """Objects a=0, b=1, c=2 in the order a b a c a b; one request a second."""
    return RequestTrace.from_columns([0, 1, 0, 2, 0, 1], times=np.arange(6.0), name="small", **columns)


def test_story_of_six_requests():
    # Two places, LRU: a and b miss, a hits, c throws out b, a hits, b misses and throws out c.
    row = replay(small_trace(), "lru", "2obj").frame.iloc[0]
    assert (row["requests"], row["hits"], row["evictions"], row["used"]) == (6, 2, 2, 2)
    assert row["miss_ratio"] == pytest.approx(4 / 6)


def test_bytes_count_the_sizes_of_requests():
    # a is 10 bytes, b 20, c 30; 35 bytes hold a+b; c needs b's place.
    trace = small_trace(sizes=[10, 20, 10, 30, 10, 20])
    row = replay(trace, "lru", "40B").frame.iloc[0]
    assert (row["bytes"], row["hit_bytes"], row["capacity_bytes"]) == (100, 20, 40)
    assert row["byte_miss_ratio"] == pytest.approx(0.8)


def test_an_object_larger_than_the_cache_passes_by():
    trace = small_trace(sizes=[10, 20, 10, 3000, 10, 20])
    row = replay(trace, "lru", "40B").frame.iloc[0]
    assert (row["too_large"], row["hits"]) == (1, 3)


def test_expired_objects_are_misses_that_refresh_in_place():
    # TTL 2.5 s: a (t=0) is fresh at 2, where a hit does not renew it; at 4 it has expired and is fetched again.
    row = replay(small_trace(), "lru", "3obj", ttl="2.5s").frame.iloc[0]
    assert (row["expired"], row["hits"], row["evictions"]) == (2, 1, 0)


def test_ttl_of_the_trace():
    trace = small_trace(ttls=[np.inf, 1, np.inf, 1, np.inf, 1])
    row = replay(trace, "lru", "3obj", ttl="trace").frame.iloc[0]
    assert (row["expired"], row["hits"]) == (1, 2)


def test_a_trace_that_states_no_ttls_is_replayed_without_and_says_so():
    with pytest.warns(UserWarning, match="small states no TTLs"):
        row = replay(small_trace(), "lru", "3obj", ttl="trace").frame.iloc[0]
    assert (row["expired"], row["hits"], row["ttl"]) == (0, 3, "trace (states none)")


def test_costs_measure_the_origin_time_saved():
    row = replay(small_trace(costs=[5, 1, 5, 1, 5, 1]), "lru", "3obj").frame.iloc[0]
    assert (row["cost_s"], row["saved_s"]) == (18, 11)
    assert row["cost_miss_ratio"] == pytest.approx(7 / 18)


def test_warmup_is_replayed_but_not_counted():
    for warmup in ("50%", "3s", 0.5):
        row = replay(small_trace(), "lru", "3obj", warmup=warmup).frame.iloc[0]
        assert (row["requests"], row["hits"]) == (3, 2)


def test_windows_add_up_to_the_whole():
    rng = np.random.default_rng(1)
    trace = RequestTrace.from_columns(rng.integers(0, 50, 2000), times=np.sort(rng.uniform(0, 100, 2000)), name="t")
    for window in ("7s", "300req", 7.0):
        result = replay(trace, "lru", "10obj", warmup="10%", window=window)
        parts = result.windows
        assert parts["hits"].sum() == result.frame["hits"].iloc[0]
        assert parts["requests"].sum() == result.frame["requests"].iloc[0] == 1800
        assert parts["window"].tolist() == list(range(len(parts)))


def test_rows_come_in_the_order_asked_for():
    traces = [small_trace(), RequestTrace.from_columns([1, 2, 3], name="other")]
    frame = replay(traces, "sieve,lru", "1obj,2obj").frame
    asked = list(itertools.product(["small", "other"], ["1obj", "2obj"], ["sieve", "lru"]))
    assert list(zip(frame["trace"], frame["capacity"], frame["policy"], strict=True)) == asked


def test_percent_is_of_bytes_when_there_are_sizes():
    sized = small_trace(sizes=[10, 20, 10, 30, 10, 20])
    assert replay(sized, "lru", "50%").frame["capacity_bytes"].iloc[0] == 30
    assert replay(sized, "lru", "50%", ignore_sizes=True).frame["capacity_objects"].iloc[0] == 1
    assert replay(small_trace(), "lru", "0.001%").frame["capacity_objects"].iloc[0] == 1


def test_only_random_policies_use_more_than_the_first_seed():
    assert replay(small_trace(), "lru", "2obj", seeds=range(5)).frame["seed"].tolist() == [0]
    assert replay(small_trace(), "random", "2obj", seeds=range(5)).frame["seed"].tolist() == [0, 1, 2, 3, 4]


def test_compiled_replay_equals_the_interpreted_one():
    rng = np.random.default_rng(2)
    ids = rng.zipf(1.3, 3000) % 100
    trace = RequestTrace.from_columns(ids, name="t")
    outcomes, counts = run_policy("sieve", trace.ids, 10)
    assert replay(trace, "sieve", "10obj").frame["hits"].iloc[0] == counts[1] == outcomes.count(1)


def test_a_job_goes_on_from_where_it_stopped():
    trace = RequestTrace.from_columns(np.random.default_rng(3).integers(0, 30, 500), name="t")
    whole, parts = (Job(trace, parse_policy("lru"), 10) for _ in range(2))
    whole.run(500)
    for stop in (0, 1, 1, 250, 100, 499, 9999):
        parts.run(stop)
    assert parts.counts.tolist() == whole.counts.tolist()


def test_interruption_stops_all_threads_and_gives_no_partial_row():
    trace = RequestTrace.from_columns(np.random.default_rng(3).integers(0, 30, 500), name="t")
    stop = threading.Event()
    stop.set()
    run = plan_runs([trace], ["lru"], ["2obj"])[0]
    assert run.rows(stop) == []
    finished = run_all(plan_runs([trace], ["lru", "fifo"], ["2obj", "3obj"]), threads=2)
    next(finished)
    finished.close()


def test_progress_adds_up_to_the_requests():
    told = []
    replay(small_trace(), "lru,fifo", "1obj,2obj", progress=told.append)
    assert sum(told) == 4 * 6


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"policies": "seive"}, UnknownNameError, "'sieve'"),
        ({"policies": "s3fifo:smal=0.2"}, UnknownNameError, "small"),
        ({"policies": "clock:bits=many"}, UsageError, "bits"),
        ({"policies": ""}, UsageError, "no policy"),
        ({"sizes": "100"}, UnitError, "100obj"),
        ({"sizes": "0obj"}, UnitError, "at least 1"),
        ({"sizes": "1GiB"}, UsageError, "has no sizes"),
        ({"warmup": "100%"}, UsageError, "nothing to count"),
        ({"warmup": "1h"}, UsageError, "nothing to count"),
        ({"window": "0s"}, UsageError, "empty"),
        ({"window": "1us"}, UsageError, "longer"),
        ({"window": "0req"}, UsageError, "req"),
        ({"policies": "lru+fifo"}, UsageError, "no admission rule"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(arguments, error, said):
    trace = RequestTrace.from_columns([0, 1], times=[0, 1000.0], name="t")
    with pytest.raises(error, match=said) as caught:
        replay(trace, **{"policies": "lru", "sizes": "1obj", **arguments})
    assert isinstance(caught.value, EvictlabError)


def test_a_trace_without_times_has_no_windows_and_no_ttl():
    trace = RequestTrace.from_columns([0, 1], name="untimed")
    for arguments in ({"window": "1s"}, {"ttl": "1s"}, {"warmup": "1s"}):
        with pytest.raises(UsageError, match="times"):
            replay(trace, "lru", "1obj", **arguments)


@policy(title="Counts objects", year=2026, source="this test", name="counts_objects", sizes=False, ttl=False)
@dataclass(frozen=True)
class CountsObjects(Policy):
    """Has no rule for bytes and none for time."""

    def make(self, setting):
        raise AssertionError("never made")


def test_a_policy_that_lacks_what_is_needed_is_refused_by_name():
    trace = small_trace(sizes=[1] * 6)
    with pytest.raises(CapabilityError, match="counts_objects counts objects"):
        replay(trace, CountsObjects(), "3B")
    with pytest.raises(CapabilityError, match="expire"):
        replay(trace, CountsObjects(), "3obj", ttl="1s")
