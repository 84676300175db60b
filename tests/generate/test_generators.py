"""Synthetic traces: their shape, their determinism, and their text form."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from evictlab.traces.errors import UnknownNameError, UsageError
from evictlab.traces.generate import (
    GENERATORS,
    demo,
    generate,
    loop,
    markov,
    mixed,
    one_hit,
    scan,
    shifting,
    trap,
    uniform,
    zipf,
)
from evictlab.traces.generate.columns import Dice, zipf_ranks


def keys(trace):
    return np.asarray(trace.keys)[trace.ids]


SPECS = [
    "challenging:requests=2000",
    "demo:requests=2000",
    "loop:requests=100,objects=7",
    "markov:requests=2000,objects=50",
    "mixed:requests=3000,objects=50,run_length=100,scan_objects=30",
    "one_hit:requests=2000,objects=50",
    "scan:requests=100",
    "shifting:requests=2000,objects=50,drift_requests=20",
    "trap:requests=2000",
    "uniform:requests=2000,objects=50",
    "zipf:requests=2000,objects=50,sizes=lognormal:mean=4KiB:sigma=1,rate_per_s=10",
]


def test_every_generator_is_tried_here():
    assert [spec.partition(":")[0] for spec in SPECS] == list(GENERATORS)


@pytest.mark.parametrize("spec", SPECS)
def test_same_seed_same_trace(spec):
    one, two, other = generate(spec), generate(spec), generate(spec + ",seed=1")
    for column in ("ids", "sizes", "times"):
        a, b = getattr(one, column), getattr(two, column)
        assert (a is None) == (b is None)
        assert a is None or (a == b).all()
    fixed = spec.startswith(("loop", "scan"))
    assert (len(one) == len(other)) and ((keys(one) == keys(other)).all() == fixed)


# The keys of each, so that a change of the stream does not go unnoticed: results name their
# seed, and the same seed must mean the same trace on every platform and with every NumPy.
DIGESTS = {
    "challenging": "9af4dcf9063aa789",
    "demo": "b83dba9d6ba8de8a",
    "loop": "70a0930884bc6d9d",
    "markov": "e32a54ead9943f89",
    "mixed": "f2bd3fec1facc799",
    "one_hit": "eeb5b056eb97cb3a",
    "scan": "96bdba67cd0b5e6d",
    "shifting": "94c526ded1a09434",
    "trap": "8327344dd1459f2b",
    "uniform": "c1196282022d9a67",
    "zipf": "55af4dea3b219daa",
}


@pytest.mark.parametrize("spec", SPECS)
def test_the_stream_stays_what_it_is(spec):
    stream = keys(generate(spec)).astype("<u8").tobytes()
    assert hashlib.sha256(stream).hexdigest()[:16] == DIGESTS[spec.partition(":")[0]]


@pytest.mark.parametrize("spec", SPECS)
def test_the_name_makes_the_trace_again(spec):
    trace = generate(spec)
    again = generate(trace.name)
    assert again.name == trace.name
    assert (keys(again) == keys(trace)).all()
    assert trace.provenance.reader == spec.partition(":")[0]
    assert trace.provenance.options["seed"] == 0


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 1.5])
def test_zipf_probabilities(alpha):
    n, objects = 200_000, 20
    counts = np.bincount(keys(zipf(n, objects, alpha)).astype(int), minlength=objects)
    expected = np.arange(1, objects + 1) ** -alpha
    expected *= n / expected.sum()
    # 5 standard deviations of a binomial count: once in a million it would fail by chance, and the seed is fixed.
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


@pytest.mark.parametrize(("objects", "alpha"), [(1, 1.0), (2, 0.0), (1000, 0.8), (1000, 8.0), (65_536, 1.2)])
def test_zipf_ranks_are_the_exact_inverse(objects, alpha):
    draws = np.concatenate((Dice(4).uniform(5_000), [0.0, 1 - 2**-53]))
    cumulative = np.cumsum(np.arange(1, objects + 1) ** -alpha)
    cumulative /= cumulative[-1]
    exact = np.minimum(np.searchsorted(cumulative, draws, side="right"), objects - 1)
    assert (zipf_ranks(draws, objects, alpha) == exact).all()


def test_uniform_covers_all_objects_alike():
    counts = np.bincount(keys(uniform(100_000, 10)).astype(int))
    assert len(counts) == 10
    assert (np.abs(counts - 10_000) < 500).all()


def test_loop_and_scan():
    assert keys(loop(7, 3)).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert scan(50).n_objects == 50


def test_mixed_walks_through_the_scanned_objects_in_order():
    trace = keys(mixed(10_000, 100, scan_share=0.4, scan_objects=1_500, run_length=500)).astype(int)
    walk = trace[trace >= 100] - 100
    assert (walk == np.arange(len(walk)) % 1_500).all()
    runs = trace.reshape(-1, 500) >= 100
    assert (runs.all(axis=1) | ~runs.any(axis=1)).all(), "a run is scanned as a whole or not at all"
    assert 0.2 < len(walk) / 10_000 < 0.6
    assert not (keys(mixed(1_000, 100, scan_share=0)) >= 100).any()


def test_one_hit_wonders_never_come_again():
    trace = keys(one_hit(50_000, 100, one_hit_share=0.3))
    wonders = trace[trace >= 100]
    assert len(np.unique(wonders)) == len(wonders)
    assert abs(len(wonders) / 50_000 - 0.3) < 0.01


def test_one_hit_wonders_may_have_a_size_of_their_own():
    trace = one_hit(1_000, 100, sizes="20KiB", one_hit_sizes="200KiB")
    assert (np.asarray(trace.sizes) == np.where(keys(trace) >= 100, 200 << 10, 20 << 10)).all()


def test_the_trap_is_that_of_cold_rl():
    trace = trap()
    objects = keys(trace).astype(int)
    # The figures that its authors' generator gives: 1000 to 1050 objects, about 150 MB, 4 to 5 times 10^5 s.
    assert 1_000 <= trace.n_objects <= 1_100
    assert 140e6 < trace.footprint_bytes < 170e6
    assert 3.5e5 < trace.duration_s < 5.5e5
    large = objects >= 1_700
    assert 0.87 < large.mean() < 0.92
    assert trace.sizes[large].min() > 0.97 * 150_000
    assert trace.sizes[objects < 1_200].max() < 1.03 * 25_000
    assert np.allclose(trace.costs, 0.05 + trace.sizes / (50 * 2**20))
    assert trace.ttls.min() >= 2 * 3600
    assert trace.ttls.max() <= 24 * 3600


def test_the_cumulative_clock_keeps_the_order_of_the_draws():
    mixed_up, in_order = trap(), trap(clock="cumulative")
    assert in_order.duration_s == pytest.approx(50_000, rel=0.05)
    assert sorted(keys(mixed_up)) == sorted(keys(in_order))
    assert (keys(mixed_up) != keys(in_order)).any()
    # Gems come up late: in the order of the draws the last tenth has more requests to large objects than the first.
    large = keys(in_order) >= 1_700
    assert large[-2_500:].mean() > large[:2_500].mean() + 0.1


def test_shifting_replaces_the_most_popular():
    trace = keys(shifting(100_000, 1_000, alpha=1.2, drift_requests=1_000)).astype(int)
    top = [np.bincount(trace[i : i + 1_000]).argmax() for i in range(0, 100_000, 1_000)]
    # Object 0 first; then, every 1,000 requests, the next from the end.
    assert top[0] == 0
    assert sum(a == b for a, b in zip(top[1:], range(999, 900, -1), strict=True)) > 90


def test_markov_follows_few_successors():
    trace = keys(markov(60_000, 200, n_successors=2, follow=0.9)).astype(int)
    pairs = np.zeros((200, 200), dtype=int)
    np.add.at(pairs, (trace[:-1], trace[1:]), 1)
    followed = np.sort(pairs, axis=1)[:, -2:].sum() / pairs.sum()
    assert followed > 0.88, "two successors take nine of ten steps, and chance a little more"
    plain = keys(markov(5_000, 200, follow=0))
    assert (plain == keys(zipf(5_000, 200))).all()


@pytest.mark.parametrize("sizes", ["lognormal:mean=10KiB:sigma=1.2", "uniform:low=100B:high=1KiB", "4KiB"])
def test_an_object_has_one_size(sizes):
    trace = zipf(20_000, 1_000, 0.5, sizes=sizes)
    assert trace.sizes is not None
    per_object = {}
    for key, size in zip(keys(trace).tolist(), trace.sizes.tolist(), strict=True):
        assert per_object.setdefault(key, size) == size
    other = zipf(20_000, 1_000, 0.5, sizes=sizes, seed=1)
    assert (sizes == "4KiB") == (set(other.sizes.tolist()) == set(trace.sizes.tolist()))


def test_size_laws():
    trace = scan(200_000, sizes="lognormal:mean=10KiB:sigma=1.0")
    assert trace.sizes.mean() == pytest.approx(10_240, rel=0.02)
    assert np.log(trace.sizes).std() == pytest.approx(1.0, rel=0.01)
    trace = scan(200_000, sizes="uniform:low=100B:high=103B")
    assert np.bincount(trace.sizes)[100:].tolist() == pytest.approx([50_000] * 4, rel=0.02)
    assert set(scan(5, sizes="4KiB").sizes.tolist()) == {4096}


def test_poisson_arrivals():
    times = scan(100_000, rate_per_s=50.0).times
    gaps = np.diff(times)
    assert (gaps >= 0).all()
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.02)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.02), "an exponential's deviation is its mean"


def test_demo_has_days_and_nights():
    trace = demo()
    assert len(trace) == 150_000
    assert trace.duration_s == pytest.approx(3 * 86_400, rel=0.01)
    hours = np.bincount((trace.times // 3600 % 24).astype(int), minlength=24)
    assert hours.argmax() in (19, 20)
    assert hours.argmin() in (7, 8)
    assert hours.max() > 4 * hours.min()
    once = (np.bincount(trace.ids) == 1).sum()
    assert 0.15 < once / len(trace) < 0.25
    assert 20_000 < trace.object_sizes.mean() < 30_000


@pytest.mark.parametrize(
    ("spec", "error", "said"),
    [
        ("zpif:requests=5", UnknownNameError, "Did you mean 'zipf'"),
        ("zipf:request=5,objects=5", UnknownNameError, "Did you mean 'requests'"),
        ("zipf", UsageError, "lacks requests and objects"),
        ("zipf:requests=5", UsageError, "lacks objects"),
        ("zipf:requests=5.5,objects=5", UsageError, "whole number"),
        ("zipf:requests=many,objects=5", UsageError, "'many' is not a number"),
        ("zipf:requests=5,requests=6,objects=5", UsageError, "given twice"),
        ("zipf:requests,objects=5", UsageError, "parameter=value"),
        ("zipf:requests=0,objects=5", UsageError, "n_requests=0 must be from 1"),
        ("zipf:requests=5,objects=1e10", UsageError, "n_objects="),
        ("zipf:requests=5,objects=5,alpha=-1", UsageError, "alpha=-1.0 must be from 0"),
        ("zipf:requests=5,objects=5,seed=-1", UsageError, "seed=-1"),
        ("zipf:requests=5,objects=5,rate_per_s=0", UsageError, "rate_per_s=0.0 must be above 0"),
        ("zipf:requests=5,objects=5,sizes=100", UsageError, "no unit"),
        ("zipf:requests=5,objects=5,sizes=lognormal:mu=3", UsageError, "none of"),
        ("zipf:requests=5,objects=5,sizes=uniform:low=2KiB:high=1KiB", UsageError, "low is above high"),
        ("one_hit:requests=5,objects=5,one_hit_share=1.5", UsageError, "from 0 to 1"),
        ("one_hit:requests=5,objects=5,one_hit_sizes=1KiB", UsageError, "needs sizes of the other"),
        ("trap:clock=wall", UsageError, "unknown clock 'wall'"),
        ("demo:days=0", UsageError, "days"),
    ],
)
def test_wrong_specs(spec, error, said):
    with pytest.raises(error, match=said):
        generate(spec)


def test_spellings():
    trace = generate(" Zipf : requests=1e3 , objects=1_00, sizes=none ")
    assert len(trace) == 1000
    assert (keys(trace) == keys(zipf(1000, 100))).all()
    assert (keys(generate("one-hit:n_requests=50,n_objects=5")) == keys(one_hit(50, 5))).all()


def test_help_shows_every_parameter_with_its_default():
    text = str(GENERATORS)
    for spec in GENERATORS.values():
        assert f"{spec.name}: {spec.help}" in text
        assert spec.help.endswith(".")
        for parameter in spec.parameters:
            assert parameter.help
            assert parameter.name in text
    assert "(default 1.0)" in text
    assert "(required)" in text
