"""Every policy agrees with its naive twin, request by request; interpreted, so that thousands of short traces are cheap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evictlab.policies import parse_policy

from interpreted import run_naive, run_policy
from naive import cases, make_twin

EXAMPLES = settings(deadline=None, max_examples=60)
requests = st.lists(st.integers(0, 11), min_size=1, max_size=90)
seeds = st.integers(0, 3)


def takes(text: str, capability: str) -> bool:
    return all(getattr(part.spec, capability) for part in parse_policy(text).parts())


@pytest.mark.parametrize("text", cases())
class TestTwins:
    @EXAMPLES
    @given(ids=requests, capacity=st.integers(1, 9), seed=seeds)
    def test_unit_sizes(self, text, ids, capacity, seed):
        twin = make_twin(text, ids, capacity, seed=seed)
        assert run_policy(text, ids, capacity, seed=seed)[0] == run_naive(twin, ids, capacity)

    @EXAMPLES
    @given(ids=requests, capacity=st.integers(1, 60), seed=seeds, data=st.data())
    def test_byte_sizes_costs_and_ttl(self, text, ids, capacity, seed, data):
        if not takes(text, "sizes"):
            return
        size_of = data.draw(st.lists(st.integers(1, 20), min_size=12, max_size=12))
        sizes = [size_of[obj] for obj in ids]
        times = np.cumsum(data.draw(st.lists(st.integers(0, 3), min_size=len(ids), max_size=len(ids))))
        ttls = np.asarray([5.0, 9.0, np.inf, 1.0])[np.asarray(ids) % 4] if takes(text, "ttl") else None
        costs = [1.0 + obj % 5 for obj in ids]
        twin = make_twin(text, ids, capacity, sizes=sizes, costs=costs, times=times, ttls=ttls, seed=seed)
        ours, _ = run_policy(text, ids, capacity, sizes, times, ttls, costs, seed)
        assert ours == run_naive(twin, ids, capacity, sizes, times, ttls)
