"""Nobody does better: adversaries with k+1 pages show that the factors of the bounds cannot be smaller."""

from __future__ import annotations

import numpy as np
import pytest

from evictlab.policies import Setting, contract, parse_policy
from evictlab.policies.predictors import Predicted, parse_predictor
from evictlab.policies.predictors.errors import errors
from evictlab.sim.loop import HIT
from evictlab.traces.request import RequestTrace

from interpreted import run_policy


def misses(policy, ids, bits, capacity, seed=0):
    outcomes, _ = run_policy(Predicted(parse_policy(policy), parse_predictor(bits)), ids, capacity, seed=seed)
    return sum(outcome != HIT for outcome in outcomes)


def optimum(ids, capacity):
    return sum(outcome != HIT for outcome in run_policy("belady", ids, capacity)[0])


def harmonic(k):
    return sum(1 / i for i in range(1, k + 1))


def chased(policy, bits, capacity):
    """The requests of an adversary that always asks for the lowest page that is missing, of k+1."""
    state = parse_policy(policy).make(Setting(capacity + 1, capacity, forecast=lambda kind: bits))
    ids, used = np.empty(len(bits), np.int32), 0
    for now in range(len(bits)):
        obj = next(page for page in range(capacity + 1) if not contract.find(state, page))
        ids[now] = obj
        assert contract.admit(state, obj, now, 1)
        while used == capacity:
            contract.evict(state, obj, now, 1)
            used -= 1
        contract.insert(state, obj, now, 1)
        used += 1
        while contract.release(state, obj, now, 1) != contract.KEPT:
            used -= 1
    return RequestTrace(ids, capacity + 1)


@pytest.mark.parametrize("capacity", [2, 3, 5, 8])
@pytest.mark.parametrize(("bit", "factor"), [(0, "beta"), (1, "gamma")])
def test_flush_when_all_zeros_reaches_its_bound(capacity, bit, factor):
    """Told to keep all: k-1 per wrong zero, so alpha + beta >= k. Told that all may go: 1 per wrong one, so
    alpha + (k-1) gamma >= k.
    """
    n = 300 * capacity
    bits = np.full(n, bit, np.uint8)
    trace = chased("flush_when_all_zeros", bits, capacity)
    best = optimum(trace.ids, capacity)
    wrong = errors("discard", bits, trace, capacity)
    assert misses("flush_when_all_zeros", trace.ids, bits, capacity) == n
    assert n <= best + (capacity - 1) * wrong["eta0"] + wrong["eta1"]
    paid = (n - best) / wrong["eta0" if bit == 0 else "eta1"]
    reached = capacity - 1 if factor == "beta" else 1
    assert 0.95 * reached <= paid <= reached
    # The same in the form of the theorem, for the factors that were paid.
    assert 1 + (paid if bit == 0 else (capacity - 1) * paid) >= 0.95 * capacity


@pytest.mark.parametrize("capacity", [2, 4, 8])
def test_told_that_all_may_go_the_optimum_still_hits_k_minus_1_times_per_miss(capacity):
    """Why the wrong ones are (k-1) OPT: the adversary's every miss is followed by k-1 hits of the optimum, or more."""
    bits = np.ones(300 * capacity, np.uint8)
    trace = chased("flush_when_all_zeros", bits, capacity)
    best = optimum(trace.ids, capacity)
    eta1 = errors("discard", bits, trace, capacity)["eta1"]
    assert eta1 == pytest.approx((capacity - 1) * best, rel=0.05)


@pytest.mark.parametrize("policy", ["lru", "fifo", "clock", "sieve"])
def test_bits_or_not_the_adversary_makes_any_deterministic_policy_pay_k_times_the_optimum(policy):
    capacity, n = 6, 1800
    bits = np.zeros(n, np.uint8)
    trace = chased(policy, bits, capacity)
    best = optimum(trace.ids, capacity)
    assert best <= capacity + n / capacity + 1
    eta0 = errors("discard", bits, trace, capacity)["eta0"]
    assert eta0 <= best + 1  # one per eviction, and one for the last request of each page
    assert n >= 0.95 * (best + (capacity - 1) * eta0)


@pytest.mark.parametrize("policy", ["mark0", "mark0:lazy=false", "flush_when_all_zeros", "mark_predict"])
def test_useless_bits_and_random_requests_cost_every_policy_h_k_per_error(policy):
    """k+1 pages at random, all to be kept: whoever demand-pages misses one request of k+1, the optimum 1 / H_k of that."""
    capacity, n = 6, 30_000
    ids = np.random.default_rng(1).integers(0, capacity + 1, n).astype(np.int32)
    bits = np.zeros(n, np.uint8)
    trace = RequestTrace(ids, capacity + 1)
    best = optimum(ids, capacity)
    eta0 = errors("discard", bits, trace, capacity)["eta0"]
    cost = misses(policy, ids, bits, capacity)
    assert best == pytest.approx(n / (capacity + 1) / harmonic(capacity), rel=0.08)
    # A share of 1 / (k+1) misses, give or take 4 standard errors of a binomial count; flushing costs more.
    share = 1 / (capacity + 1)
    assert cost >= n * share - 4 * np.sqrt(n * share * (1 - share))
    assert cost >= 0.92 * (best + (harmonic(capacity) - 1) * eta0)  # alpha + beta >= H_k


class TestMarkAndPredictIsRobust:
    """On k+1 pages each phase costs the optimum a miss; marking at random costs H_k or so, whatever the bits say."""

    CAPACITY, LENGTH = 16, 4000

    def requests(self, kind):
        if kind == "scan":
            return (np.arange(self.LENGTH) % (self.CAPACITY + 1)).astype(np.int32)
        return np.random.default_rng(2).integers(0, self.CAPACITY + 1, self.LENGTH).astype(np.int32)

    @pytest.mark.parametrize("kind", ["scan", "random"])
    @pytest.mark.parametrize("told", ["wrong", "ones", "zeros", "random"])
    def test_bad_bits_cost_a_factor_of_2_h_k_at_most(self, kind, told):
        ids = self.requests(kind)
        trace = RequestTrace(ids, self.CAPACITY + 1)
        truth = parse_predictor("truth").forecast("phase", trace, self.CAPACITY)
        random_bits = np.random.default_rng(3).integers(0, 2, self.LENGTH).astype(np.uint8)
        bits = {"wrong": truth ^ 1, "ones": truth * 0 + 1, "zeros": truth * 0, "random": random_bits}[told]
        costs = [misses("mark_predict", ids, bits, self.CAPACITY, seed) for seed in range(5)]
        best = optimum(ids, self.CAPACITY)
        assert np.mean(costs) <= 2 * harmonic(self.CAPACITY) * best

    def test_eager_mark0_and_lru_are_not(self):
        ids = self.requests("scan")
        best = optimum(ids, self.CAPACITY)
        assert misses("mark0:lazy=false", ids, np.ones(self.LENGTH), self.CAPACITY) == self.LENGTH
        assert run_policy("lru", ids, self.CAPACITY)[0].count(HIT) == 0
        assert 2 * harmonic(self.CAPACITY) * best < self.LENGTH
