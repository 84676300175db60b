"""Policies of the families queue and recency: equal counts on real traces, equal requests beside libcachesim.

Sources of the counts: the tables in the shared folder ``reference/`` (its README says who made which).
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from evictlab.policies import parse_policy
from evictlab.sim import Job
from evictlab.sim.loop import HIT, HITS
from evictlab.traces import open_trace

from interpreted import run_policy

S4LRU = "slru:segments=4:protected=0.75:spill=true"
NAMES = {  # policy: column in unit_size_hits.csv and brightkite_misses.csv
    "lru": "LRU",
    "fifo": "FIFO",
    "clock": "CLOCK1",
    "sieve": "SIEVE",
}
PEERS = {  # policy: name in libcachesim_misses.csv
    "fifo": "FIFO",
    "lru": "LRU",
    "clock": "Clock",
    "sieve": "Sieve",
    "s3fifo": "S3FIFO",
    "clock2q_plus": "Clock2QPlus",
    "twoq": "TwoQ",
    "mq": "MQ",
    S4LRU: "SLRU",
}
FILES = [
    "lirs/backf.trace.gz",
    "lirs/cpp.trace.gz",
    "lirs/ps.trace.gz",
    "lirs/multi1.trace.gz",
    "lirs/scan.trace.gz",
    "lirs/loop.trace.gz",
    "web/webcachesim-test.tr.zst",
    "http/nasa_19950801.tsv.zst",
    "cache2k/web07.trace.xz",
    "llm/mooncake-synthetic_trace.jsonl.zst",
    "kv/corda-vaultservice.trace.gz",
    "address/swim.trace.gz",
    "address/gcc.trace.gz",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("arc/P3.lis.zst", "arc/P2.lis.zst", "cache2k/orm-night.trace.xz")
    ),
]


@cache
def trace_of(path: Path):
    return open_trace(path, cache=False)


def hits(path: Path, policy: str, capacity: int) -> int:
    trace = trace_of(path)
    job = Job(trace, parse_policy(policy), capacity)
    job.run(len(trace))
    return int(job.counts[HITS])


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", FILES)
def test_hits_of_four_policies_at_many_sizes(shared_data, name):
    rows = [row for row in table(shared_data / "reference" / "unit_size_hits.csv") if row["file"] == name]
    assert rows
    for row in rows:
        capacity = int(row["cache_objects"])
        ours = {column: hits(shared_data / name, policy, capacity) for policy, column in NAMES.items()}
        assert ours == {column: int(row[column + "_hits"]) for column in NAMES.values()}, capacity


@pytest.mark.parametrize(("policy", "column"), [*NAMES.items(), ("mru", "MRU")])
def test_misses_on_brightkite(shared_data, policy, column):
    rows = table(shared_data / "reference" / "brightkite_misses.csv")
    paths = [shared_data / "paging" / "brightkite" / f"{row['trace']}.txt" for row in rows]
    ours = [int(row["requests"]) - hits(path, policy, int(row["k"])) for row, path in zip(rows, paths, strict=True)]
    assert ours == [int(row[column]) for row in rows]


@pytest.mark.parametrize(("policy", "peer"), PEERS.items())
def test_misses_counted_by_libcachesim(shared_data, policy, peer):
    rows = [row for row in table(shared_data / "reference" / "libcachesim_misses.csv") if row["policy"] == peer]
    if policy == S4LRU:  # where 4 does not divide the capacity, its segments do not add up: see slru.py
        rows = [row for row in rows if int(row["k"]) % 4 == 0]
    assert len(rows) == (14 if policy == S4LRU else 15)
    for row in rows:
        family, _, stem = row["trace"].partition("_")
        found = int(row["requests"]) - hits(shared_data / family / f"{stem}.trace.gz", policy, int(row["k"]))
        assert found == int(row["misses"]), row


LIVE = {  # policy: class and parameters of libcachesim
    "fifo": ("FIFO", {}),
    "lru": ("LRU", {}),
    "sieve": ("Sieve", {}),
    "clock": ("Clock", {}),
    "clock:bits=2": ("Clock", {"n_bit_counter": 2}),
    "clock:bits=3:init=1": ("Clock", {"n_bit_counter": 3, "init_freq": 1}),
    "s3fifo": ("S3FIFO", {}),
    "s3fifo:small=0.2:ghost=0.5:promote=1": (
        "S3FIFO",
        {"small_size_ratio": 0.2, "ghost_size_ratio": 0.5, "move_to_main_threshold": 1},
    ),
    "clock2q_plus": ("Clock2QPlus", {}),
    "twoq": ("TwoQ", {}),
    "twoq:kin=0.5:kout=1.0": ("TwoQ", {"a_in_size_ratio": 0.5, "a_out_size_ratio": 1.0}),
    "mq": ("MQ", {}),
    "mq:lifetime=50": ("MQ", {"lifetime": 50}),
    S4LRU: ("SLRU", {}),
}
ALSO_BYTES = ["fifo", "lru", "sieve", "clock", "clock:bits=2", "s3fifo", "mq", "mq:lifetime=50"]


def ask_libcachesim(peer: str, capacity: int, ids, sizes=None, **parameters) -> list[bool]:
    libcachesim = pytest.importorskip("libcachesim")
    its = getattr(libcachesim, peer)(capacity, hashpower=10, **parameters)
    request = libcachesim.Request()
    found = []
    for i, obj in enumerate(ids):
        request.obj_id, request.obj_size = int(obj), 1 if sizes is None else int(sizes[i])
        found.append(its.get(request))
    return found


def zipf_with_a_scan(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Requests, and a size for each that belongs to the object."""
    rng = np.random.default_rng(seed)
    n = 150 + 50 * seed
    weights = np.arange(1, n + 1) ** -(0.4 + 0.2 * seed)
    ids = rng.choice(n, 4000, p=weights / weights.sum())
    ids[1500:2500] = np.arange(1000) % n
    return ids, rng.integers(1, 50, n)[ids]


@pytest.mark.peers
@pytest.mark.parametrize("policy", LIVE)
def test_same_hits_as_libcachesim(policy):
    peer, parameters = LIVE[policy]
    for seed, capacity in enumerate((20, 48, 100, 148)):
        ids, _ = zipf_with_a_scan(seed)
        outcomes, _ = run_policy(policy, ids, capacity)
        assert [outcome == HIT for outcome in outcomes] == ask_libcachesim(peer, capacity, ids, **parameters), capacity


@pytest.mark.peers
@pytest.mark.parametrize("policy", ALSO_BYTES)
def test_same_hits_as_libcachesim_with_byte_sizes(policy):
    peer, parameters = LIVE[policy]
    for seed, capacity in enumerate((500, 900, 1600)):
        ids, sizes = zipf_with_a_scan(seed)
        outcomes, _ = run_policy(policy, ids, capacity, sizes)
        assert [outcome == HIT for outcome in outcomes] == ask_libcachesim(peer, capacity, ids, sizes, **parameters)


@pytest.mark.peers
def test_s3fifo_where_ghost_queues_differ():
    # Capacity 4, small queue and ghost 2 each. 1 and 2 fill the small queue, 3 and 4 spill into the main one. 5 and 6
    # push 1 and 2 into the ghost. 2 returns and leaves the ghost *before* room is made, so 5 joins 1 there. A ghost
    # that counts insertions would have forgotten 1 here (two came after it: 2 and 5), and 1 would enter the small
    # queue, where it would push 6 out. This one gave 2's place back: 1 is known and enters the main queue, from which
    # 3 leaves; 5 likewise, 4 leaves; and 6 is still there.
    ids = [1, 2, 3, 4, 5, 6, 2, 1, 5, 6]
    expected = [False] * 9 + [True]
    outcomes, _ = run_policy("s3fifo:small=0.5:ghost=0.5", ids, 4)
    assert [outcome == HIT for outcome in outcomes] == expected
    assert ask_libcachesim("S3FIFO", 4, ids, small_size_ratio=0.5, ghost_size_ratio=0.5) == expected


@pytest.mark.peers
def test_s3fifo_where_the_ghost_is_asked_late():
    # 1 and 2 in the small queue, 3 and 4 in the main one; 5, 6 and 7 push 1, 2 and 5 into the ghost, which is full. When 1
    # returns, it is taken out first, 6 leaves for the ghost in its place, and 1 enters the main queue; 6 returns, 3 leaves,
    # and 7 is still there. Asked only at insertion, 6 would have pushed 1 out of the ghost, 1 would enter the small queue,
    # and 7 would have to make way for 6.
    ids = [1, 2, 3, 4, 5, 6, 7, 1, 6, 7]
    expected = [False] * 9 + [True]
    outcomes, _ = run_policy("s3fifo:small=0.5:ghost=0.75", ids, 4)
    assert [outcome == HIT for outcome in outcomes] == expected
    assert ask_libcachesim("S3FIFO", 4, ids, small_size_ratio=0.5, ghost_size_ratio=0.75) == expected


@pytest.mark.peers
def test_s3fifo_differs_below_twenty():
    # libCacheSim's small queue is 1, and an object of 1 "fills it completely": nothing is ever admitted.
    ids = [1, 2, 1, 2]
    assert ask_libcachesim("S3FIFO", 19, ids) == [False, False, False, False]
    assert run_policy("s3fifo", ids, 19)[0] == [0, 0, 1, 1]


@pytest.mark.peers
def test_slru_differs_where_segments_do_not_add_up():
    # Segments of 1; 1-4 fill one each, 5 overflows the lowest. The hit lifts 1, which sends 2 down to the lowest, which
    # then holds 5 and 2: libCacheSim evicts 5 on this hit although the cache is not over its capacity.
    ids = [1, 2, 3, 4, 5, 1, 5]
    assert ask_libcachesim("SLRU", 5, ids) == [False, False, False, False, False, True, False]
    assert run_policy(S4LRU, ids, 5)[0] == [0, 0, 0, 0, 0, 1, 1]
