"""Records that stand for many requests."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evictlab.traces.readers.base import runs as module
from evictlab.traces.readers.base.runs import runs


@given(counts=st.lists(st.integers(0, 12), max_size=30), batch=st.integers(1, 7))
def test_runs_are_what_a_loop_makes(counts, batch):
    expected = [(i, step) for i, count in enumerate(counts) for step in range(count)]
    whole = module.BATCH_RECORDS
    module.BATCH_RECORDS = batch
    try:
        pieces = [(r.tolist(), s.tolist()) for r, s in runs(np.array(counts, dtype=np.int64))]
    finally:
        module.BATCH_RECORDS = whole
    assert [pair for r, s in pieces for pair in zip(r, s, strict=True)] == expected
    assert all(len(r) == batch for r, _ in pieces[:-1])


def test_a_giant_run_comes_in_batches():
    first = next(runs(np.array([3, 2**31 - 1], dtype=np.int64)))
    assert len(first[0]) == 1 << 20
    assert first[1][:5].tolist() == [0, 1, 2, 0, 1]
