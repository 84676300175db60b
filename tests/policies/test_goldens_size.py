"""GDSF and Bélády-Size against libCacheSim."""

from __future__ import annotations

import numpy as np
import pytest
from reference import cells

from evictlab.sim import replay
from evictlab.traces import RequestTrace, open_trace


@pytest.fixture
def libcachesim():
    return pytest.importorskip("libcachesim", reason="the libcachesim package is not installed (make test installs it)")


def live(libcachesim, name, trace, capacity, sizes=None):
    """Which requests hit, in libcachesim's cache of that name."""
    cache = getattr(libcachesim, name)(capacity, hashpower=16)
    request, hits = libcachesim.Request(), np.zeros(len(trace), bool)
    never = np.iinfo(trace.next_use.dtype).max
    for i, obj in enumerate(trace.ids.tolist()):
        request.obj_id, request.clock_time = obj, i
        request.obj_size = 1 if sizes is None else int(sizes[i])
        request.next_access_vtime = int(trace.next_use[i]) if trace.next_use[i] != never else np.iinfo(np.int64).max
        hits[i] = cache.get(request)
    return hits


@pytest.mark.parametrize("name", ["cpp", "loop", "multi1", "ps", "scan"])
def test_gdsf_of_one_size(shared_data, name):
    rows = cells(shared_data / "reference" / "libcachesim_misses.csv", "policy", "trace", "k", "misses")["GDSF"]
    expected = {int(k): int(misses) for trace, k, misses in rows if trace == f"lirs_{name}"}
    assert expected
    trace = open_trace(shared_data / "lirs" / f"{name}.trace.gz", cache=False)
    frame = replay(trace, "gdsf", [f"{k}obj" for k in expected], threads=1).frame
    assert dict(zip(frame["capacity_objects"], frame["misses"], strict=True)) == expected


@pytest.mark.peers
class TestLive:
    @pytest.mark.parametrize("share", [0.01, 0.1, 0.4])
    def test_gdsf_of_many_sizes(self, libcachesim, share):
        rng = np.random.default_rng(8)
        keys = np.minimum(rng.zipf(1.2, 30_000), 4000)
        trace = RequestTrace.from_columns(keys, sizes=np.maximum(1, rng.lognormal(7, 1.5, 4001)).astype(int)[keys])
        capacity = int(share * trace.footprint_bytes)
        theirs = live(libcachesim, "GDSF", trace, capacity, trace.sizes).sum()
        row = replay(trace, "gdsf", f"{capacity}B").frame.iloc[0]
        assert row["hits"] == theirs

    def test_gdsf_scores_the_newcomer_before_room_is_made(self, libcachesim):
        trace = RequestTrace.from_columns([0, 0, 1, 2, 1, 0])
        assert live(libcachesim, "GDSF", trace, 2).tolist() == [False, True, False, False, False, True]

    def test_belady_size_hits_as_much(self, libcachesim, shared_data):
        """Both draw 128 residents at random: equal but for the luck of the draw."""
        trace = open_trace(shared_data / "web" / "webcachesim-test.tr.zst", cache=False)
        for share in (0.05, 0.3):
            capacity = int(share * trace.footprint_bytes)
            theirs = live(libcachesim, "BeladySize", trace, capacity, trace.sizes).sum()
            row = replay(trace, "belady_size", f"{capacity}B").frame.iloc[0]
            assert row["hits"] == pytest.approx(theirs, rel=0.02)
