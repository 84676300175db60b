"""States that look alike to numba are still different policies."""

from __future__ import annotations

import numpy as np

from interpreted import run_policy


def test_compositions_with_alike_states_run_their_own_code():
    # LRU and MRU keep the same arrays; behind the same admission rule, numba's dispatcher cannot tell them apart.
    ids = np.random.default_rng(0).zipf(1.3, 2000) % 60
    for policy in ("prob+lru", "prob+mru"):
        assert run_policy(policy, ids, 10, compiled=True)[0] == run_policy(policy, ids, 10)[0], policy
