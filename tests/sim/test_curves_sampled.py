"""Sampled curves: exact where everything is followed, close where little is, and never more than promised."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evictlab.policies import parse_policy
from evictlab.sim import Job
from evictlab.sim import loop as at
from evictlab.sim.curves import curve, lru_curve, miniature_curve, shards_curve
from evictlab.sim.curves.fixed_size import fixed_size_histogram
from evictlab.sim.curves.grid import grid_up_to
from evictlab.sim.curves.sampling import sampled_objects, spread
from evictlab.traces import RequestTrace
from evictlab.traces.errors import CapabilityError, UsageError
from evictlab.traces.generate import zipf


@pytest.fixture(scope="module")
def million() -> RequestTrace:
    return zipf(1_000_000, 100_000, alpha=1.0, seed=3)


def error(found, exact, n_objects: int) -> float:
    sizes = np.unique(np.geomspace(n_objects / 1000, n_objects, 200).astype(np.int64))
    return float(np.abs(found.at(sizes) - exact.at(sizes)).mean())


small_traces = st.lists(st.integers(0, 12), min_size=1, max_size=100)


@given(small_traces, st.integers(0, 5), st.sampled_from([0.0, 0.4]), st.booleans())
@example([0], 0, 0.0, True)
@settings(max_examples=50)
def test_a_rate_of_one_is_exact(keys, seed, warmup, with_sizes):
    sizes = [1 + 7 * key for key in keys] if with_sizes else None
    trace = RequestTrace.from_columns(keys, sizes=sizes)
    exact = lru_curve(trace, warmup=warmup)
    everything = range(1, 1 + (trace.footprint_bytes or trace.n_objects))
    for found in (
        shards_curve(trace, 1.0, seed=seed, warmup=warmup),
        shards_curve(trace, 1.0, ask="objects", seed=seed, warmup=warmup),
        shards_curve(trace, max_objects=trace.n_objects, seed=seed, warmup=warmup),
    ):
        assert found.looked_at == found.requests == exact.requests and found.rate == 1.0
        assert found.at(everything) == pytest.approx(exact.at(everything))
        if with_sizes:
            assert found.at(everything, "byte_miss_ratio") == pytest.approx(exact.at(everything, "byte_miss_ratio"))


def test_errors_on_zipf_at_five_percent(million):
    # 5 % of 100,000 objects: as many as 1 % of a trace five times as large. Seeds are fixed: these are no chances.
    exact = lru_curve(million)
    asked = [error(shards_curve(million, 0.05, seed=seed), exact, million.n_objects) for seed in range(6)]
    published = [
        error(shards_curve(million, 0.05, ask="objects", seed=seed), exact, million.n_objects) for seed in range(6)
    ]
    assert max(asked) < 0.008 and np.mean(asked) < 0.005
    assert max(published) < 0.05
    assert np.mean(asked) < np.mean(published) / 2  # what asking requests instead of objects is for


def test_a_sample_of_fixed_size_is_close(million):
    exact = lru_curve(million)
    found = [shards_curve(million, max_objects=4000, seed=seed) for seed in range(4)]
    assert max(error(one, exact, million.n_objects) for one in found) < 0.03
    assert all(0.03 < one.rate < 0.07 and one.looked_at < 300_000 for one in found)


def test_estimates_are_unbiased(million):
    # The mean over many seeds is closer to the truth than one seed, by about the root of their number. Half-way between
    # two steps of the curve, which are 1 / rate apart, and not below ten of them.
    exact = lru_curve(million)
    sizes = np.array([1_050, 3_050, 30_050])
    each = np.array([shards_curve(million, 0.01, seed=seed).at(sizes) - exact.at(sizes) for seed in range(40)])
    assert (np.abs(each.mean(axis=0)) < 4 * each.std(axis=0) / np.sqrt(40) + 5e-4).all()


def test_bytes_are_close():
    trace = zipf(300_000, 30_000, alpha=0.9, seed=4, sizes="lognormal:mean=32KiB:sigma=1")
    exact = lru_curve(trace)
    sizes = (np.array([0.01, 0.1, 0.5]) * trace.footprint_bytes).astype(np.int64)
    for found in (
        shards_curve(trace, 0.1),
        shards_curve(trace, 0.1, ask="objects"),
        shards_curve(trace, max_objects=3000),
    ):
        assert found.unit == "bytes"
        assert np.abs(found.at(sizes) - exact.at(sizes)).max() < 0.03
        assert np.abs(found.at(sizes, "byte_miss_ratio") - exact.at(sizes, "byte_miss_ratio")).max() < 0.06


@given(small_traces, st.integers(1, 14), st.integers(0, 50), st.booleans())
@settings(max_examples=60)
def test_a_sample_of_fixed_size_never_follows_more(keys, most, seed, with_sizes):
    trace = RequestTrace.from_columns(keys, sizes=[1 + key for key in keys])
    sizes = trace.sizes if with_sizes else None
    grid = grid_up_to(trace.footprint_bytes)
    found = fixed_size_histogram(trace.ids, trace.n_objects, sizes, most, seed, 0, grid)
    assert found.most_followed == min(most, trace.n_objects)
    # At the end, the sample is that of its last rate from the start: the same objects, no more than allowed.
    assert found.rate == 1.0 or sampled_objects(trace.n_objects, found.rate * (1 - 1e-12), seed).sum() == most
    assert found.hits.sum() <= found.requests


def test_equal_seeds_equal_curves(million):
    first, again, other = (shards_curve(million, 0.01, seed=seed).miss_ratio for seed in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()


def test_samples_nest_and_have_their_share():
    n = 200_000
    tenth, hundredth = (sampled_objects(n, rate, seed=9) for rate in (0.1, 0.01))
    assert not (hundredth & ~tenth).any()
    assert abs(tenth.sum() - 0.1 * n) < 5 and abs(hundredth.sum() - 0.01 * n) < 5
    # Each object is as likely as any other: over seeds, and wherever it stands.
    often = np.mean([sampled_objects(50, 0.3, seed) for seed in range(2000)], axis=0)
    assert np.abs(often - 0.3).max() < 0.05


def test_spread_picks_one_of_each_stretch():
    picked = spread(100, 1100, 0.1, seed=3)
    assert (picked - 100).tolist() == sorted((picked - 100).tolist()) and ((picked - 100) // 10).tolist() == list(
        range(100)
    )
    assert spread(5, 12, 1.0).tolist() == list(range(5, 12))
    assert len(set(np.diff(picked).tolist())) > 5  # no fixed stride


def test_miniature_of_everything_is_the_replay():
    trace = zipf(20_000, 3_000, seed=1, sizes="lognormal:mean=4KiB")
    for ignore_sizes, sizes in ((True, [30, 300]), (False, [1 << 20, 4 << 20])):
        found = miniature_curve(trace, "sieve", 1.0, sizes=sizes, warmup=0.25, ignore_sizes=ignore_sizes)
        for k, capacity in enumerate(sizes):
            job = Job(trace, parse_policy("sieve"), capacity, byte_sizes=not ignore_sizes)
            job.run(5_000)
            before = job.counts.copy()
            job.run(20_000)
            counts = job.counts - before
            assert found.miss_ratio[k] == pytest.approx(1 - counts[at.HITS] / 15_000)
            if not ignore_sizes:
                assert found.byte_miss_ratio[k] == pytest.approx(1 - counts[at.HIT_BYTES] / counts[at.BYTES])
        assert found.exact and found.requests == 15_000


def test_miniature_is_close_and_agrees_with_the_stack(million):
    exact = lru_curve(million)
    sizes = [1_000, 5_000, 20_000, 60_000]
    found = miniature_curve(million, "lru", 0.05, sizes=sizes, seed=1)
    assert found.miss_ratio == pytest.approx(exact.at(sizes), abs=0.02)
    assert found.looked_at < 0.2 * found.requests and not found.exact
    chosen = curve(million, "s3fifo", sample=0.1, sizes=["1%", "10%"])
    truth = miniature_curve(million, "s3fifo", 1.0, sizes=chosen.capacities.tolist())
    assert chosen.miss_ratio == pytest.approx(truth.miss_ratio, abs=0.03)


def test_miniature_rate_follows_enough_objects(million):
    assert miniature_curve(million, "fifo", sizes=[50_000]).rate == pytest.approx(10_000 / million.n_objects)
    assert miniature_curve(million, "fifo", sizes=[64]).rate == pytest.approx(0.5)  # 32 places in the smallest cache
    small = zipf(5_000, 500, seed=1)
    found = curve(small, "fifo")
    assert found.rate == 1.0 and 15 <= len(found) <= 25
    assert np.isnan(found.at(0.5)) and found.capacities[-1] == small.n_objects


def test_random_policies_get_the_seed():
    trace = zipf(20_000, 3_000, seed=1)
    one, same, other = (miniature_curve(trace, "random", 1.0, sizes=[200], seed=s).miss_ratio[0] for s in (1, 1, 2))
    assert one == same != other


@pytest.mark.parametrize("rate", [0, -0.1, 1.5, float("nan"), float("inf"), "1%", True])
def test_rates_out_of_range(rate):
    trace = RequestTrace.from_columns([0, 1, 0])
    for make in (
        lambda: shards_curve(trace, rate),
        lambda: miniature_curve(trace, "fifo", rate),
        lambda: curve(trace, "fifo", rate),
    ):
        with pytest.raises(UsageError, match=r"above 0 and at most 1|neither a rate"):
            make()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda trace: shards_curve(trace), "give one"),
        (lambda trace: shards_curve(trace, 0.1, max_objects=3), "give one"),
        (lambda trace: shards_curve(trace, max_objects=0), "1 or more"),
        (lambda trace: shards_curve(trace, 1e-9), "holds none"),
        (lambda trace: shards_curve(trace, 0.5, ask="nobody"), "nobody"),
        (lambda trace: curve(trace, sample="8192"), "fixed-size:8192"),
        (lambda trace: curve(trace, sample="fixed-size:many"), "fixed-size:8192"),
        (lambda trace: miniature_curve(trace, "fifo", 1e-9), "holds none"),
        (lambda trace: miniature_curve(trace, "fifo", sizes=[]), "at least one"),
        (lambda trace: miniature_curve(trace, "fifo", sizes=[0, 5]), "none below 1"),
    ],
)
def test_what_is_refused(make, said):
    with pytest.raises(UsageError, match=said):
        make(RequestTrace.from_columns([0, 1, 0]))


def test_a_policy_without_byte_sizes_is_refused():
    trace = RequestTrace.from_columns([0, 1, 0], sizes=[1, 2, 1])
    with pytest.raises(CapabilityError, match="cacheus counts objects"):
        curve(trace, "cacheus")
    assert curve(trace, "fifo", ignore_sizes=True).at(2) == pytest.approx(2 / 3)
