"""LFU against independent programs: our C++ on the Brightkite traces, libCacheSim on the LIRS traces."""

from __future__ import annotations

import pytest
from reference import cells

from evictlab.sim import replay
from evictlab.traces import open_trace


def test_brightkite(shared_data):
    columns = {"lfu": "LFU_incache_tieLRU", "lfu_perfect": "LFU_perfect_tieLRU"}
    expected = cells(shared_data / "reference" / "brightkite_misses.csv", "trace", "k", *columns.values())
    assert len(expected) == 100
    for name, rows in expected.items():
        trace = open_trace(shared_data / "paging" / "brightkite" / f"{name}.txt", cache=False)
        for k, *misses in rows:
            frame = replay(trace, list(columns), f"{k}obj", threads=1).frame
            assert frame["misses"].tolist() == [int(m) for m in misses], (name, k)


@pytest.mark.parametrize("name", ["cpp", "loop", "multi1", "ps", "scan"])
def test_libcachesim_lfu(shared_data, name):
    rows = cells(shared_data / "reference" / "libcachesim_misses.csv", "policy", "trace", "k", "misses")["LFU"]
    expected = {int(k): int(misses) for trace, k, misses in rows if trace == f"lirs_{name}"}
    assert expected
    trace = open_trace(shared_data / "lirs" / f"{name}.trace.gz", cache=False)
    frame = replay(trace, "lfu", [f"{k}obj" for k in expected], threads=1).frame
    assert dict(zip(frame["capacity_objects"], frame["misses"], strict=True)) == expected
