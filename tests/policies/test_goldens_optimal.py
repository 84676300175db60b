"""Belady's MIN against independent programs; every policy has the same optimum, so all must agree to the last miss."""

from __future__ import annotations

import pytest
from reference import cells

from evictlab.sim import replay
from evictlab.traces import open_trace

TRACES = [
    "address/gcc.trace.gz",
    "address/swim.trace.gz",
    "arc/P3.lis.zst",
    "cache2k/orm-night.trace.xz",
    "cache2k/web07.trace.xz",
    "kv/corda-vaultservice.trace.gz",
    "lirs/backf.trace.gz",
    "lirs/cpp.trace.gz",
    "lirs/loop.trace.gz",
    "lirs/multi1.trace.gz",
    "lirs/ps.trace.gz",
    "lirs/scan.trace.gz",
    "llm/mooncake-synthetic_trace.jsonl.zst",
    "web/webcachesim-test.tr.zst",
]
"""Of the table's traces, those that are request traces (not access logs); arc/P2 is left out for its length."""


@pytest.mark.parametrize("source", TRACES)
def test_optimum_at_many_sizes(shared_data, source):
    rows = cells(shared_data / "reference" / "unit_size_hits.csv", "file", "cache_objects", "OPT_hits")[source]
    expected = {int(k): int(hits) for k, hits in rows}
    assert len(expected) >= 4
    trace = open_trace(shared_data / source, cache=False)
    frame = replay(trace, "belady", [f"{k}obj" for k in expected], ignore_sizes=True, threads=1).frame
    assert dict(zip(frame["capacity_objects"], frame["hits"], strict=True)) == expected


def test_brightkite_with_and_without_bypass(shared_data):
    expected = cells(shared_data / "reference" / "brightkite_misses.csv", "trace", "k", "OPT", "OPT_bypass")
    assert len(expected) == 100
    for name, rows in expected.items():
        trace = open_trace(shared_data / "paging" / "brightkite" / f"{name}.txt", cache=False)
        for k, *misses in rows:
            frame = replay(trace, ["belady", "belady:bypass=true"], f"{k}obj", threads=1).frame
            assert frame["misses"].tolist() == [int(m) for m in misses], (name, k)


@pytest.mark.parametrize("name", ["cpp", "loop", "multi1", "ps", "scan"])
def test_libcachesim(shared_data, name):
    rows = cells(shared_data / "reference" / "libcachesim_misses.csv", "policy", "trace", "k", "misses")["Belady"]
    expected = {int(k): int(misses) for trace, k, misses in rows if trace == f"lirs_{name}"}
    assert expected
    trace = open_trace(shared_data / "lirs" / f"{name}.trace.gz", cache=False)
    frame = replay(trace, "belady", [f"{k}obj" for k in expected], threads=1).frame
    assert dict(zip(frame["capacity_objects"], frame["misses"], strict=True)) == expected
