"""Every policy agrees with its naive twin on longer traces: ghosts fill up, periods end, hands go round."""

from __future__ import annotations

import numpy as np
import pytest

from evictlab.policies import parse_policy

from interpreted import run_naive, run_policy
from naive import cases, make_twin


def trace(rng):
    """400 requests to 8 to 39 objects, somewhere between uniform and skewed; half of the time mixed with a loop."""
    n = int(rng.integers(8, 40))
    weights = np.arange(1, n + 1) ** -rng.choice([0.0, 0.6, 1.0, 1.4])
    ids = rng.choice(n, 400, p=weights / weights.sum())
    return np.where(rng.random(400) < rng.choice([0.0, 0.5]), np.arange(400) % n, ids), n


@pytest.mark.parametrize("text", cases())
def test_long_traces(text):
    rng = np.random.default_rng(2026)
    policy = parse_policy(text)
    sized = all(part.spec.sizes for part in policy.parts())
    needs_sizes = "adaptsize" in text or "size_threshold" in text
    for seed in range(8):
        ids, n = trace(rng)
        if needs_sizes or (sized and seed % 2):
            sizes, capacity = rng.integers(1, 30, n)[ids], int(rng.integers(20, 12 * n))
        else:
            sizes, capacity = None, int(rng.integers(2, n + 1))
        twin = make_twin(text, ids, capacity, sizes=sizes, seed=seed)
        ours = run_policy(text, ids, capacity, sizes, seed=seed)[0]
        assert ours == run_naive(twin, ids, capacity, sizes), (seed, capacity)
