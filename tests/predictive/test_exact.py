"""The exact engine does what the policies do: all outcomes of the real code, with their probabilities."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from exact import every_instance, expectation, one_forecast, one_instance

from evictlab.policies import parse_policy
from evictlab.policies.predictive.bits import mark0, mark_predict
from evictlab.policies.predictors import Predicted, parse_predictor
from evictlab.policies.predictors.errors import errors
from evictlab.policies.predictors.phases import clean_requests, phases_of
from evictlab.sim.loop import HIT
from evictlab.traces.request import RequestTrace

from interpreted import run_policy


def instances(count, seed, longest=11):
    """Random capacities, requests, and bits."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        capacity = int(rng.integers(1, 5))
        n = int(rng.integers(1, longest + 1) if rng.random() < 0.3 else longest)
        ids = rng.integers(0, capacity + rng.integers(0, 4), n)
        ids = np.unique(ids, return_inverse=True)[1]
        yield capacity, ids.astype(np.int32), (rng.random(n) < rng.random()).astype(np.uint8)


def misses(policy, ids, bits, capacity):
    outcomes, _ = run_policy(Predicted(parse_policy(policy), parse_predictor(bits)), ids, capacity)
    return sum(outcome != HIT for outcome in outcomes)


def expected_misses(monkeypatch, module, policy, ids, bits, capacity):
    def run(below):
        monkeypatch.setattr(module, "random_below", below)
        return misses(policy, ids, bits, capacity)

    return expectation(run)


@pytest.mark.parametrize(
    ("policy", "module", "column"),
    [("mark0:lazy=false", mark0, "mark0"), ("mark0", mark0, "lazy"), ("mark_predict", mark_predict, "mark_predict")],
)
def test_expected_misses_of_the_policy_are_those_of_the_engine(monkeypatch, policy, module, column):
    compared = drawn = 0
    for capacity, ids, bits in instances(2500, seed=5):
        found = expected_misses(monkeypatch, module, policy, ids, bits, capacity)
        assert found == getattr(one_instance(ids, bits, capacity), column), (capacity, ids, bits)
        compared += 1
        drawn += found.denominator > 1
    assert compared == 2500
    assert drawn > 200  # chance decides in many of them


def test_flush_when_all_zeros_is_the_engine_with_lru_ties_and_never_above_the_worst_case():
    chosen = 0
    for capacity, ids, bits in instances(3000, seed=6, longest=14):
        exact = one_instance(ids, bits, capacity)
        found = misses("flush_when_all_zeros", ids, bits, capacity)
        assert found == exact.flush_lru, (capacity, ids, bits)
        assert found <= exact.flush
        chosen += found < exact.flush
    assert chosen > 100  # the choice matters in many of them


def test_blind_oracle_is_never_above_the_worst_case():
    """With forecasts that differ from each other it has no choice."""
    rng = np.random.default_rng(9)
    for capacity, ids, _ in instances(2000, seed=10, longest=14):
        coarse = rng.random() < 0.5
        due = np.arange(len(ids)) + (rng.integers(1, 5, len(ids)) if coarse else 10 * rng.random(len(ids)))
        worst, _, eta = one_forecast(ids, due, capacity)
        found = misses("blind_oracle", ids, due, capacity)
        assert found <= worst if coarse else found == worst, (capacity, ids, due)
        trace = RequestTrace(ids, int(ids.max()) + 1)
        if (due <= len(ids)).all():
            assert errors("next_use", due, trace, capacity)["eta"] == pytest.approx(eta)


def test_errors_optimum_and_clean_requests_are_those_of_the_package():
    for capacity, ids, bits in instances(3000, seed=7, longest=14):
        exact = one_instance(ids, bits, capacity)
        trace = RequestTrace(ids, int(ids.max()) + 1)
        assert errors("discard", bits, trace, capacity) == {"eta0": exact.eta0, "eta1": exact.eta1}
        assert errors("phase", bits, trace, capacity) == {"eta0": exact.phase_eta0, "eta1": exact.phase_eta1}
        assert clean_requests(phases_of(ids, trace.n_objects, capacity), trace.prev_use) == exact.clean
        assert sum(outcome != HIT for outcome in run_policy("belady", ids, capacity)[0]) == exact.optimum


def test_the_optimum_is_the_least_of_all_ways_to_serve():
    """By brute force over all caches that can be held."""
    for capacity, ids, bits in instances(300, seed=8, longest=12):
        least = {frozenset(): 0}
        for page in ids.tolist():
            reached: dict[frozenset[int], int] = {}
            for cache, cost in least.items():
                if page in cache:
                    options = [cache]
                elif len(cache) < capacity:
                    options = [cache | {page}]
                else:
                    options = [frozenset(kept) | {page} for kept in combinations(cache, capacity - 1)]
                for option in options:
                    reached[option] = min(reached.get(option, len(ids)), cost + (page not in cache))
            least = reached
        assert min(least.values()) == one_instance(ids, bits, capacity).optimum


def test_one_instance_is_a_row_of_all():
    everything = every_instance(2, 3, 6)
    assert everything.bits[64 + 5] == 5
    one = one_instance([0, 0, 0, 0, 0, 1], [1, 0, 1, 0, 0, 0], 2)
    for name in everything._fields[:-1]:
        expected = name in ("mark0", "lazy", "mark_predict")
        assert Fraction(int(getattr(everything, name)[64 + 5]), everything.scale if expected else 1) == getattr(
            one, name
        ), name


def test_expectation_follows_every_branch():
    """A fair coin; heads: a die with three sides."""
    assert expectation(lambda below: below(None, 3) if below(None, 2) else 10) == Fraction(10, 2) + Fraction(3, 6)
