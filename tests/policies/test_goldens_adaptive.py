"""ARC and LIRS against independent programs, exactly; the policies with chance in them, nearly.

LIRS hits: printed by the LIRS authors' own program. ARC hits: a C++ program of ours with a real target. Misses: the
package libcachesim 0.3.5. All three tables are in the shared folder ``reference/``.
"""

from __future__ import annotations

import numpy as np
import pytest
from reference import cells

from evictlab.sim import replay
from evictlab.traces import open_trace

from interpreted import run_policy

# In these cells the rules in which libCacheSim's LIRS differs (docstring of `lirs`) change no outcome.
LIRS_CELLS = {"cpp": [500], "loop": [256, 512, 900], "multi1": [2000], "ps": [2000], "scan": [512, 1000]}


def misses(path, policy, capacities):
    frame = replay(open_trace(path, cache=False), policy, [f"{k}obj" for k in capacities], threads=1).frame
    return dict(zip(frame["capacity_objects"].tolist(), frame["misses"].tolist(), strict=True))


@pytest.mark.parametrize("policy, column", [("lirs", "LIRS_hits_authors_code"), ("arc", "ARC_hits_realp")])
def test_hits_on_the_traces_of_the_lirs_authors(shared_data, policy, column):
    table = cells(shared_data / "reference" / "lirs_hits.csv", "trace", "cache_blocks", "requests", column)
    assert sum(map(len, table.values())) == 37
    for name, rows in table.items():
        expected = {int(k): int(requests) - int(hits) for k, requests, hits in rows}
        assert misses(shared_data / "lirs" / f"{name}.trace.gz", policy, expected) == expected, name


@pytest.mark.parametrize("name", LIRS_CELLS)
def test_misses_of_libcachesim(shared_data, name):
    table = cells(shared_data / "reference" / "libcachesim_misses.csv", "policy", "trace", "k", "misses")
    for policy, theirs in (("arc", "ARC"), ("lirs:least=1", "LIRS")):
        expected = {int(k): int(n) for trace, k, n in table[theirs] if trace == f"lirs_{name}"}
        if theirs == "LIRS":
            expected = {k: expected[k] for k in LIRS_CELLS[name]}
        assert misses(shared_data / "lirs" / f"{name}.trace.gz", policy, expected) == expected


def peer_hits(name, ids, capacity):
    """Which requests libcachesim's cache of that name serves, every object counting 1."""
    libcachesim = pytest.importorskip("libcachesim", reason="libcachesim is not installed")
    cache, request = getattr(libcachesim, name)(capacity, hashpower=16), libcachesim.Request()
    served = []
    for obj in ids:
        request.obj_id, request.obj_size = int(obj) + 1, 1
        served.append(bool(cache.get(request)))
    return served


@pytest.mark.peers
@pytest.mark.parametrize(
    "ids, ours, theirs",
    [
        ([0, 1, 1, 2, 0], True, False),  # the second 1: a repetition here, a short reuse distance there
        ([0, 1, 0, 1, 2, 1], False, True),  # there 0, 1 and 2 are all served from a cache of 2
    ],
)
def test_where_libcachesim_lirs_differs(ids, ours, theirs):
    mine = run_policy("lirs:least=1", ids, 2)[0]
    peer = peer_hits("LIRS", ids, 2)
    assert [outcome == 1 for outcome in mine[:-1]] == peer[:-1]
    assert (mine[-1] == 1, peer[-1]) == (ours, theirs)


@pytest.mark.peers
def test_arc_request_by_request():
    rng = np.random.default_rng(7)
    for capacity in (1, 2, 7, 40):
        ids = np.where(rng.random(3000) < 0.3, np.arange(3000) % 90, np.minimum(rng.zipf(1.3, 3000), 90) - 1)
        assert [outcome == 1 for outcome in run_policy("arc", ids, capacity)[0]] == peer_hits("ARC", ids, capacity)


@pytest.mark.peers
@pytest.mark.parametrize(
    "policy, theirs", [("lecar", "LeCaR"), ("cacheus", "Cacheus"), ("lhd", "LHD"), ("hyperbolic", "Hyperbolic")]
)
def test_miss_ratio_near_libcachesim(policy, theirs):
    # Different random numbers, and the differences named in the docstrings: within 0.02, on Zipf(1.0), two sizes.
    rng = np.random.default_rng(3)
    popularity = 1 / np.arange(1, 20_001)
    ids = rng.choice(20_000, 100_000, p=popularity / popularity.sum()).astype(np.int32)
    for capacity in (200, 2000):
        hit_ratio = run_policy(policy, ids, capacity, compiled=True)[1][1] / len(ids)
        assert hit_ratio == pytest.approx(np.mean(peer_hits(theirs, ids, capacity)), abs=0.02)
