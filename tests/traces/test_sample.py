"""Smaller traces: all requests of some objects, a time range, earlier and later part."""

from __future__ import annotations

import numpy as np
import pytest

from evictlab.traces import RequestTrace, sample_objects, time_slice, train_test
from evictlab.traces.densify import as_key_column
from evictlab.traces.errors import CapabilityError, TraceError, UsageError
from evictlab.traces.sample import sample_batches, sampled

from naive._hashing import in_sample


def many() -> RequestTrace:
    rng = np.random.default_rng(0)
    return RequestTrace.from_columns(rng.integers(0, 5000, 40_000), sizes=rng.integers(1, 99, 40_000), name="many")


def test_an_object_is_kept_with_all_its_requests_or_not_at_all() -> None:
    trace = many()
    part = sample_objects(trace, 0.1)
    counts = dict(zip(trace.keys.tolist(), np.bincount(trace.ids).tolist(), strict=True))
    kept = dict(zip(part.keys.tolist(), np.bincount(part.ids).tolist(), strict=True))
    assert all(counts[key] == n for key, n in kept.items())
    assert part.n_objects == pytest.approx(500, abs=5 * np.sqrt(500 * 0.9))
    assert part.sizes is not None
    assert "sample of 0.1 of the objects (seed 0)" in part.provenance.account.notes[0]


def test_a_trace_and_its_batches_have_the_same_sample() -> None:
    trace = many()
    keys = np.concatenate([batch.keys for batch in sample_batches(trace.batches(7000), 0.2, seed=3)])
    part = sample_objects(trace, 0.2, seed=3)
    assert part.keys[part.ids].tolist() == keys.tolist()


def test_predictions_stay_with_their_keys() -> None:
    keys = np.random.default_rng(0).integers(0, 500, 4000)
    trace = RequestTrace.from_columns(keys, times=np.arange(4000), predictions=keys * 10)
    parts = [sample_objects(trace, 0.1), time_slice(trace, 1000, 2000), *train_test(trace)]
    for part in parts:
        assert part.predictions.tolist() == (part.keys[part.ids] * 10).tolist()
    for batch in sample_batches(trace.batches(700), 0.1):
        assert batch.predictions is not None
        assert batch.predictions.tolist() == (batch.keys * 10).tolist()


def test_samples_are_nested_and_differ_by_seed() -> None:
    keys = np.arange(100_000, dtype=np.uint64)
    small, large, other = sampled(keys, 0.01), sampled(keys, 0.1), sampled(keys, 0.1, seed=1)
    assert (large | small).sum() == large.sum()
    assert large.sum() == pytest.approx(10_000, abs=500)
    # Two independent samples of a tenth have a hundredth in common.
    assert (large & other).sum() == pytest.approx(1000, abs=160)
    assert sampled(keys, 1.0).all()


@pytest.mark.parametrize("seed", [0, 7, -1])
def test_the_sample_is_the_same_everywhere(seed: int) -> None:
    integers = [0, 1, 2**63, *range(5, 900)]
    texts = [f"/page/{'x' * (i % 11)}{i}" for i in range(900)]
    for keys in (integers, texts):
        expected = [in_sample(key, 0.1, seed) for key in keys]
        assert sampled(as_key_column(keys), 0.1, seed).tolist() == expected
        assert any(expected)


@pytest.mark.parametrize("rate", [0, -0.5, 1.01, float("nan")])
def test_a_rate_that_is_no_share_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="above 0 and at most 1"):
        sample_objects(many(), rate)


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(TraceError, match="has no requests"):
        sample_objects(RequestTrace.from_columns([1]), 1e-7)


def timed() -> RequestTrace:
    return RequestTrace.from_columns([1, 2, 1, 3, 2], times=[100, 110, 120, 120, 150])


def test_time_slice_counts_from_the_first_request() -> None:
    part = time_slice(timed(), 10, 50)
    assert part.keys[part.ids].tolist() == [2, 1, 3]
    assert part.provenance.account.notes == ["from 10 s to 50 s"]
    assert time_slice(timed(), 20).n_requests == 3
    assert time_slice(timed()).n_requests == 5
    with pytest.raises(CapabilityError, match="needs the times"):
        time_slice(RequestTrace.from_columns([1]), 1)


def test_train_comes_before_test() -> None:
    train, test = train_test(timed(), test_share=0.5)
    assert train.times is not None
    assert test.times is not None
    assert (train.times.tolist(), test.times.tolist()) == ([100, 110, 120, 120], [150])
    train, test = train_test(RequestTrace.from_columns([1, 2, 3, 4]), test_share=0.25)
    assert (train.keys.tolist(), test.keys.tolist()) == ([1, 2, 3], [4])
    with pytest.raises(UsageError, match="between 0 and 1"):
        train_test(timed(), 1.0)
    with pytest.raises(TraceError, match="no requests"):
        train_test(RequestTrace.from_columns([1]), 0.5)
