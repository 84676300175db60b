"""Policies that read a bit are as fast as the others: some ten times what this asks for, so that a busy machine may pass."""

from __future__ import annotations

import pytest

from evictlab.sim import replay
from evictlab.traces.generate import zipf


@pytest.mark.slow
def test_bit_policies_replay_ten_million_requests_per_second():
    trace = zipf(2_000_000, 200_000, alpha=0.9, seed=1)
    policies = "flush_when_all_zeros,mark0,mark0:lazy=false,mark_predict"
    frame = replay(trace, policies, "1%,10%", predict="noisy:p=0.01", threads=1).frame
    assert frame["requests_per_s"].min() > 10e6, frame[["policy", "capacity", "requests_per_s"]]
