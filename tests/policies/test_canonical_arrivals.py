"""Policies with predicted times on BrightKite: the numbers of Antoniadis, Coester, Eliáš, Polák, Simon (ICML 2020).

Totals over 100 users, k = 10. Ratios are theirs (their program, published results), to three digits; totals that
involve no chance and no rounding (truth) are theirs to the last miss; other totals are of an independent prototype in
plain Python, written from their rules, and agree with their ratios.
"""

from __future__ import annotations

import pytest

from evictlab.sim import replay

OPTIMUM = 33_990
MARKING_OPTIMUM = 41_648  # marking with Belady's choice among the unmarked: 1.2253


@pytest.fixture(scope="module")
def total(shared_data):
    files = sorted((shared_data / "paging" / "brightkite").glob("*.txt"))
    assert len(files) == 100

    def misses(policies, predict, seeds=(0,)):
        """Misses of all users, mean over the seeds."""
        frame = replay([f"plain:{file}" for file in files], policies, "10obj", predict=predict, seeds=seeds).frame
        assert len(frame) in (100, 100 * len(seeds))
        return frame["misses"].sum() / (len(frame) / 100)

    return misses


class TestWithoutChance:
    @pytest.mark.parametrize(
        "policy, predictor, misses, ratio",
        [
            ("blind_oracle", "pleco", 70_749, 2.081),
            ("blind_oracle", "popu", 58_029, 1.707),
            ("blind_oracle", "truth", OPTIMUM, 1.0),
            ("predictive_marker:gamma=inf", "pleco", 45_576, 1.341),
            ("predictive_marker:gamma=inf", "popu", 42_911, 1.262),
            ("predictive_marker:gamma=inf", "truth", MARKING_OPTIMUM, 1.2253),
        ],
    )
    def test_totals(self, total, policy, predictor, misses, ratio):
        assert total(policy, predictor) == misses
        assert misses / OPTIMUM == pytest.approx(ratio, abs=6e-4)

    @pytest.mark.parametrize("policy", ["predictive_marker", "lmarker"])
    def test_the_truth_leaves_nothing_to_chance(self, total, policy):
        assert total(policy, "truth", range(3)) == MARKING_OPTIMUM

    def test_guard_keeps_the_optimum(self, total):
        assert total("guard", "truth", range(3)) == OPTIMUM


class TestWithChance:
    @pytest.mark.parametrize(
        "policy, predictor, ratio",
        [
            ("predictive_marker", "pleco", 1.340),
            ("predictive_marker", "popu", 1.262),
            ("lmarker", "pleco", 1.337),
            ("lmarker", "popu", 1.264),
        ],
    )
    def test_ratios_of_the_authors(self, total, policy, predictor, ratio):
        assert total(policy, predictor, range(3)) / OPTIMUM == pytest.approx(ratio, abs=0.006)

    @pytest.mark.parametrize(
        "policy, predictor, ratio",
        [
            ("guard", "pleco", 1.3038),
            ("guard", "popu", 1.1994),
            ("adaptive_query", "pleco", 1.3405),
            ("adaptive_query", "popu", 1.2797),
            ("adaptive_query:b=4", "pleco", 1.3436),
            ("adaptive_query:b=4", "popu", 1.2640),
            ("adaptive_query:b=1", "popu", 1.333),  # the authors' Marker
        ],
    )
    def test_ratios_of_the_prototype(self, total, policy, predictor, ratio):
        """No published totals: an independent prototype, mean of 5 seeds."""
        assert total(policy, predictor, range(3)) / OPTIMUM == pytest.approx(ratio, abs=0.006)
