"""Facts of a trace, against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from evictlab.traces import RequestTrace, trace_facts
from evictlab.traces.describe import zipf_alpha


def test_six_requests() -> None:
    trace = RequestTrace.from_columns(
        ["a", "b", "a", "c", "a", "b"],
        sizes=[10, 20, 15, 5, 15, 0],
        times=[0, 1, 2, 3, 4, 2],
        ttls=[60, 60, np.inf, 60, 60, 60],
        ops=[0, 0, 1, 0, 0, 0],
        predictions=[1, 0, np.nan, np.inf, np.nan, np.nan],
        name="six",
        notes=["made up"],
    )
    facts = trace_facts(trace)
    assert (facts.name, facts.n_requests, facts.n_objects) == ("six", 6, 3)
    assert facts.one_hit_share == pytest.approx(1 / 3)  # c
    assert facts.compulsory_miss_ratio == 0.5
    assert facts.top_shares == {0.001: 0.5, 0.01: 0.5, 0.1: 0.5}  # one object at least: a
    assert facts.zipf_alpha is None
    assert (facts.footprint_bytes, facts.requested_bytes) == (15 + 20 + 5, 66)
    assert facts.size_quantiles == {0.0: 5, 0.25: 5, 0.5: 15, 0.75: 20, 0.9: 20, 0.99: 20, 1.0: 20}
    assert (facts.duration_s, facts.requests_per_s) == (4.0, 1.5)
    assert facts.ttl_quantiles_s is not None
    assert (facts.ttl_quantiles_s[0.5], facts.ttl_quantiles_s[1.0]) == (60.0, np.inf)
    assert facts.ops == {"get": 5, "set": 1}
    assert facts.predicted_share == 0.5
    assert (facts.records, facts.dropped) == (6, {})
    assert facts.repaired == {"size 0 -> 1 B": 1, "time went backwards -> latest so far": 1}
    assert facts.notes == ("made up",)


def test_what_is_unknown_is_none() -> None:
    facts = trace_facts(RequestTrace.from_columns([1, 1]))
    unknown = (
        "footprint_bytes",
        "requested_bytes",
        "size_quantiles",
        "duration_s",
        "requests_per_s",
        "ttl_quantiles_s",
        "ops",
        "predicted_share",
    )
    assert all(getattr(facts, name) is None for name in unknown)
    assert facts.one_hit_share == 0


@pytest.mark.parametrize("alpha", [0.6, 0.8, 1.0, 1.2])
def test_the_zipf_exponent_is_found_again(alpha: float) -> None:
    rng = np.random.default_rng(1)
    weights = 1 / np.arange(1, 20_001) ** alpha
    counts = np.sort(rng.multinomial(500_000, weights / weights.sum()))[::-1]
    assert zipf_alpha(counts) == pytest.approx(alpha, abs=0.06)


def test_uniform_popularity_has_no_slope() -> None:
    counts = np.sort(np.random.default_rng(1).multinomial(1_000_000, np.full(1000, 1e-3)))[::-1]
    assert zipf_alpha(counts) == pytest.approx(0, abs=0.05)
