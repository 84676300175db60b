"""PFOO's bounds: twins in plain Python, the optimum itself on small traces, and policies that must not beat them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from evictlab.sim import replay
from evictlab.sim.bounds import pfoo_lower, pfoo_upper
from evictlab.traces import RequestTrace, open_trace


def make_trace(seed: int, n_requests: int, n_objects: int) -> RequestTrace:
    rng = np.random.default_rng(seed)
    keys = np.minimum(rng.zipf(1.3, n_requests), n_objects)
    return RequestTrace.from_columns(keys, sizes=rng.integers(1, 30, n_objects + 1)[keys])


def intervals(trace, capacity):
    """(begin, end, size) of every request that could be a hit, in order."""
    latest, found = {}, []
    for i, (obj, size) in enumerate(zip(trace.ids.tolist(), trace.sizes.tolist(), strict=True)):
        if obj in latest and size <= capacity:
            found.append((latest[obj], i, size))
        latest[obj] = i
    return found


def naive_lower(trace, capacity):
    room, hits = capacity * (len(trace) - 1), 0
    for volume in sorted((end - begin) * size for begin, end, size in intervals(trace, capacity)):
        room -= volume
        hits += room >= 0
    return hits / len(trace)


def naive_lower_bytes(trace, capacity):
    room, hit_bytes = capacity * (len(trace) - 1), 0.0
    for begin, end, size in sorted(intervals(trace, capacity), key=lambda it: it[1] - it[0]):
        share = min(1.0, room / ((end - begin) * size))
        room -= share * (end - begin) * size
        hit_bytes += share * size
    return hit_bytes / trace.sizes.sum()


def naive_upper(trace, capacity):
    """Hits and hit bytes of the two schedules, moment by moment."""
    totals = []
    for key in (lambda it: (it[1] - it[0]) * it[2]), (lambda it: it[1] - it[0]):
        held, served = np.zeros(len(trace)), []
        for begin, end, size in sorted(intervals(trace, capacity), key=key):
            if held[begin:end].max() + size <= capacity:
                held[begin:end] += size
                served.append(size)
        totals.append(served)
    return len(totals[0]) / len(trace), sum(totals[1]) / trace.sizes.sum()


@given(st.integers(0, 10**6), st.integers(1, 700), st.integers(1, 60), st.integers(1, 400))
@settings(max_examples=60)
def test_twins(seed, n_requests, n_objects, capacity):
    trace = make_trace(seed, n_requests, n_objects)
    lower, upper = pfoo_lower(trace, f"{capacity}B"), pfoo_upper(trace, f"{capacity}B")
    assert lower.hit_ratio == naive_lower(trace, capacity)
    assert lower.byte_hit_ratio == pytest.approx(naive_lower_bytes(trace, capacity), abs=1e-12)
    assert (upper.hit_ratio, upper.byte_hit_ratio) == pytest.approx(naive_upper(trace, capacity), abs=1e-12)


def optimum(trace, capacity, value, whole):
    """The most value of hits that fit at every moment: the integer optimum, or its relaxation."""
    found = intervals(trace, capacity)
    if not found:
        return 0.0
    held = np.zeros((len(trace), len(found)))
    for k, (begin, end, size) in enumerate(found):
        held[begin:end, k] = size
    gain = -np.array([value(size) for *_, size in found], float)
    if whole:
        fits = LinearConstraint(held, ub=capacity)
        return -milp(gain, integrality=np.ones(len(found)), bounds=Bounds(0, 1), constraints=fits).fun
    return -linprog(gain, A_ub=held, b_ub=np.full(len(trace), capacity), bounds=(0, 1)).fun


@pytest.mark.parametrize("seed", range(12))
def test_they_enclose_the_optimum(seed):
    trace = make_trace(seed, 60, 12)
    capacity = 15 + 5 * seed
    lower, upper = pfoo_lower(trace, f"{capacity}B"), pfoo_upper(trace, f"{capacity}B")
    for found, value, total in (
        ("hit_ratio", lambda size: 1, 60),
        ("byte_hit_ratio", lambda size: size, trace.sizes.sum()),
    ):
        best = optimum(trace, capacity, value, whole=True) / total
        relaxed = optimum(trace, capacity, value, whole=False) / total
        assert getattr(upper, found) <= best + 1e-9
        assert best <= min(relaxed, getattr(lower, found)) + 1e-9
        assert relaxed <= getattr(lower, found) + 1 / total  # the relaxation may take a part of one more hit


@pytest.mark.parametrize("capacity", [1, 3, 7])
def test_with_equal_sizes_they_enclose_belady(capacity):
    trace = make_trace(5, 800, 40)
    hits = replay(trace, "belady:bypass=true", f"{capacity}obj", threads=1).frame["hits"].iloc[0] / len(trace)
    lower, upper = (bound(trace, f"{capacity}obj") for bound in (pfoo_lower, pfoo_upper))
    assert upper.hit_ratio <= hits <= lower.hit_ratio
    assert lower.hit_ratio - upper.hit_ratio < 0.1
    assert lower.byte_hit_ratio == lower.hit_ratio


def test_a_story():
    """Room for 3 bytes: a (2 bytes) and b (2 bytes) at 0 and 1, wanted again at 2 and 3; c (1 byte) at 4 and 5."""
    trace = RequestTrace.from_columns([0, 1, 0, 1, 2, 2], sizes=[2, 2, 2, 2, 1, 1])
    # Volumes 4, 4 and 1 of 3 * 5 = 15: by volume alone all three hits fit.
    assert pfoo_lower(trace, "3B").hit_ratio == 3 / 6
    # Between requests 1 and 2 both a and b would be held, 4 bytes: one of them is a miss.
    assert pfoo_upper(trace, "3B").hit_ratio == 2 / 6
    assert pfoo_upper(trace, "4B").hit_ratio == 3 / 6


def test_a_changing_size_leaves_them_bounds():
    """The object enters with 1 byte, for which the cache has room, and then says that it has 9."""
    trace = RequestTrace.from_columns([0, 0, 0], sizes=[1, 9, 9])
    assert replay(trace, "lru", "5B").frame["hits"].iloc[0] == 2
    assert pfoo_lower(trace, "5B").hit_ratio == 2 / 3
    assert pfoo_upper(trace, "5B").hit_ratio == 0


def test_one_request():
    trace = RequestTrace.from_columns([7], sizes=[5])
    assert pfoo_lower(trace, "5B").miss_ratio == pfoo_upper(trace, "5B").byte_miss_ratio == 1


def test_nobody_beats_the_bound_on_a_real_trace(shared_data):
    trace = open_trace(shared_data / "web" / "webcachesim-test.tr.zst", cache=False)
    for size in ("1%", "10%", "30%"):
        lower, upper = pfoo_lower(trace, size), pfoo_upper(trace, size)
        frame = replay(trace, "belady_size,gdsf", size, threads=1).frame
        assert lower.miss_ratio <= upper.miss_ratio <= frame["miss_ratio"].min()
        assert lower.byte_miss_ratio <= upper.byte_miss_ratio <= frame["byte_miss_ratio"].min()
        assert upper.miss_ratio - lower.miss_ratio < 0.04
