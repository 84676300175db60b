"""The Brightkite table (100 users, k = 10): misses over the optimum's, for two predictors.

Source: Antoniadis, Coester, Eliáš, Polák, Simon, "Online metric algorithms with untrusted predictions", ICML 2020; three digits
from running the authors' code (adampolak/mts-with-predictions @3996c0d). Exact sums: those of deterministic results,
found by them and by two independent programs. F&R has no published number for this table; with the truth it must be optimal.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from evictlab.policies import parse_policy
from evictlab.sim.job import Job
from evictlab.sim.loop import HITS, REQUESTS
from evictlab.traces import open_trace
from evictlab.traces.request import RequestTrace

CAPACITY, OPTIMUM, RUNS = 10, 33_990, 3


@cache
def traces(folder: Path) -> list[RequestTrace]:
    return [open_trace(f"plain:{file}") for file in sorted((folder / "paging" / "brightkite").glob("*.txt"))]


def total(shared_data: Path, text: str, run: int = 0) -> int:
    """Misses on all traces, each with a seed of its own."""
    misses = 0
    for place, trace in enumerate(traces(shared_data)):
        job = Job(trace, parse_policy(text), CAPACITY, seed=1000 * run + place)
        job.run(len(trace))
        misses += int(job.counts[REQUESTS] - job.counts[HITS])
    return misses


@pytest.mark.parametrize(
    ("text", "misses"),
    [
        ("belady", OPTIMUM),
        ("lru", 43_883),
        ("ftp@pleco", 70_749),
        ("ftp@popu", 58_029),
        ("ftp@lru", 43_883),
        ("ftp@truth", OPTIMUM),
        ("follower_robust@truth", OPTIMUM),
        ("follower_robust:victim=random@truth", OPTIMUM),
    ],
)
def test_exact_sums(shared_data, text, misses):
    assert total(shared_data, text) == misses


@pytest.mark.parametrize("run", range(RUNS))
def test_trust_and_doubt_with_the_truth_depends_on_no_seed(shared_data, run):
    assert total(shared_data, "trust_doubt@truth", run) == 40_432


@pytest.mark.parametrize(
    ("text", "pleco", "popu"),
    [
        ("trust_doubt", 1.292, 1.276),
        ("robust_ftp", 1.336, 1.317),
        ("follow_leader+lnonmarker+marker", 1.332, 1.266),
        ("blum_burch+marker+lru", 1.2976, None),
    ],
)
def test_ratios_to_the_optimum(shared_data, text, pleco, popu):
    if popu is None:
        assert np.mean([total(shared_data, text, run) for run in range(RUNS)]) / OPTIMUM == pytest.approx(
            pleco, abs=0.006
        )
        return
    for predictor, ratio in (("pleco", pleco), ("popu", popu)):
        mean = np.mean([total(shared_data, f"{text}@{predictor}", run) for run in range(RUNS)]) / OPTIMUM
        assert mean == pytest.approx(ratio, abs=0.006), predictor
