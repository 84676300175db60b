"""The theorems of paging with succinct predictions, on every small instance: all requests, all bits, all choices.

Source: Antoniadis, Boyar, Eliáš, Favrholdt, Hoeksma, Larsen, Polák, Simon, "Paging with succinct predictions", ICML 2023.
The cache starts empty, and nothing is added to the bounds. `test_exact` shows that the engine does what the policies do.
"""

from __future__ import annotations

import numpy as np
import pytest
from exact import every_forecast, every_instance, harmonic, one_forecast, random_instances

SMALL = {
    (2, 3, 7): 46_720,
    (2, 4, 8): 715_520,
    (3, 4, 8): 715_520,
    (3, 5, 8): 984_320,
    (4, 5, 8): 984_320,
}
"""(capacity, pages, requests): how many instances there are."""

LONGER = [(2, 3, 40), (2, 5, 30), (3, 5, 20), (4, 6, 15)]


@pytest.fixture(scope="module", params=list(SMALL), ids=str)
def small(request):
    found = every_instance(*request.param)
    assert len(found.bits) == SMALL[request.param]
    return request.param[0], found


@pytest.fixture(scope="module", params=LONGER, ids=str)
def longer(request):
    found = random_instances(*request.param, count=20_000)
    assert len(found.bits) == 20_000
    return request.param[0], found


def violations(capacity, found):
    """How many instances break each of the bounds."""
    scale = found.scale
    h_scaled = int(harmonic(capacity) * scale)  # scale is a multiple of all the denominators
    within_2h = (found.optimum + found.eta1) * scale + 2 * h_scaled * found.eta0
    held = {
        "FWA0 <= OPT + (k-1) eta0 + eta1": found.flush <= found.optimum + (capacity - 1) * found.eta0 + found.eta1,
        "FWA0 with LRU ties <= FWA0": found.flush_lru <= found.flush,
        "E Mark0 <= OPT + 2 H_k eta0 + eta1": found.mark0 <= within_2h,
        "E lazy Mark0 <= OPT + 2 H_k eta0 + eta1": found.lazy <= within_2h,
        "E lazy Mark0 <= E Mark0": found.lazy <= found.mark0,
        "E M&P <= 2 OPT + H_k eta0 + eta1": found.mark_predict
        <= (2 * found.optimum + found.phase_eta1) * scale + h_scaled * found.phase_eta0,
        "E M&P <= Clean + H_k eta0 + eta1": found.mark_predict
        <= (found.clean + found.phase_eta1) * scale + h_scaled * found.phase_eta0,
        "Clean <= 2 OPT - 1": found.clean <= 2 * found.optimum - 1,
        "OPT <= all": found.optimum * scale <= np.min([found.flush * scale, found.lazy, found.mark_predict], axis=0),
    }
    return {bound: int((~holds).sum()) for bound, holds in held.items() if not holds.all()}


def most(excess, eta):
    """The largest excess per error."""
    return (excess[eta > 0] / eta[eta > 0]).max()


class TestEverySmallInstance:
    def test_no_bound_is_broken(self, small):
        assert violations(*small) == {}

    def test_a_wrong_zero_costs_flush_when_all_zeros_k_minus_1(self, small):
        """The factor cannot be smaller, whether ties go for the worst or by recency."""
        capacity, found = small
        for flush in (found.flush, found.flush_lru):
            assert most(flush - found.optimum - found.eta1, found.eta0) == capacity - 1

    def test_without_wrong_zeros_mark0_pays_once_for_each_wrong_one(self, small):
        _, found = small
        exact = found.eta0 == 0
        assert exact.sum() > 1000
        assert (found.mark0 == (found.optimum + found.eta1) * found.scale)[exact].all()

    def test_eager_mark0_is_not_robust(self, small):
        """Told that everything may go, it misses every request: also n times the same page."""
        _, found = small
        length = int(found.bits.max()).bit_length()
        told_to_go = found.bits == 2**length - 1
        assert (found.mark0 == length * found.scale)[told_to_go].all()
        assert found.optimum[told_to_go].min() == 1

    def test_with_perfect_bits_mark_and_predict_misses_the_clean_requests(self, small):
        _, found = small
        perfect = (found.phase_eta0 == 0) & (found.phase_eta1 == 0)
        assert perfect.sum() > 1000
        assert (found.mark_predict == found.clean * found.scale)[perfect].all()

    def test_mark_and_predict_is_robust_whatever_the_bits(self, small):
        """2 H_k - 1 is the factor of marking without bits (Achlioptas, Chrobak, Noga); enough here as well."""
        capacity, found = small
        assert (found.mark_predict <= int((2 * harmonic(capacity) - 1) * found.scale) * found.optimum).all()

    def test_with_perfect_discard_bits_all_are_optimal(self, small):
        _, found = small
        perfect = (found.eta0 == 0) & (found.eta1 == 0)
        assert perfect.any()
        for cost in (found.flush * found.scale, found.mark0, found.lazy):
            assert (cost == found.optimum * found.scale)[perfect].all()

    def test_what_an_error_costs_at_most_as_observed(self, small):
        """Not theorems: Mark0 pays far less than 2 H_k for a wrong zero, Mark&Predict H_k - 1."""
        capacity, found = small
        scale = found.scale
        h = float(harmonic(capacity))
        assert most(found.mark0 / scale - found.optimum - found.eta1, found.eta0) < h
        excess = found.mark_predict / scale - found.clean - found.phase_eta1
        assert most(excess, found.phase_eta0) == pytest.approx(h - 1)


class TestLongerRandomInstances:
    def test_no_bound_is_broken(self, longer):
        assert violations(*longer) == {}

    def test_without_wrong_zeros_mark0_pays_once_for_each_wrong_one(self, longer):
        _, found = longer
        exact = found.eta0 == 0
        assert exact.sum() > 100
        assert (found.mark0 == (found.optimum + found.eta1) * found.scale)[exact].all()


class TestBlindOracle:
    """Evict whoever is predicted latest: at most one miss more for each request that a prediction is off."""

    @pytest.mark.parametrize(("size", "count"), [((2, 3, 7), 1_839_600), ((3, 4, 7), 3_603_600)], ids=str)
    def test_every_forecast_of_every_small_sequence(self, size, count):
        misses, optimum, eta = every_forecast(*size)
        assert len(misses) == count
        assert (misses <= optimum + eta).all()
        assert most(misses - optimum, eta) == 1  # tight
        assert (misses == optimum)[eta == 0].all()

    def test_longer_sequences(self):
        rng = np.random.default_rng(3)
        worst = 0.0
        for i in range(4000):
            ids = rng.integers(0, 4 + i % 4, 30).tolist()
            due = [ids.index(page, t + 1) if page in ids[t + 1 :] else 30 for t, page in enumerate(ids)]
            wrong = rng.random(30) < rng.random()
            due = np.where(wrong, np.clip(due + rng.normal(0, 8, 30), 0, 30), due)
            misses, optimum, eta = one_forecast(ids, due, 2 + i % 3)
            assert misses <= optimum + eta + 1e-9
            worst = max(worst, (misses - optimum) / max(eta, 1))
        assert worst > 0
