"""Exact curves: the stack, its twin, and the replays that it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mattson import misses_at, needed

from evictlab.policies import parse_policy
from evictlab.sim import Job
from evictlab.sim import loop as at
from evictlab.sim.curves import Curve, curve, lru_curve, plot_curves
from evictlab.sim.curves.grid import grid_up_to, place
from evictlab.sim.curves.holes import count_before, mark_and_count_before, no_holes
from evictlab.sim.curves.stack import objects_since, stack_histogram
from evictlab.traces import RequestTrace, open_trace
from evictlab.traces.errors import UnknownNameError, UsageError
from evictlab.traces.generate import zipf


def replayed(trace: RequestTrace, capacity: int, *, byte_sizes: bool = False, begin: int = 0) -> tuple[float, float]:
    job = Job(trace, parse_policy("lru"), capacity, byte_sizes=byte_sizes)
    job.run(begin)
    before = job.counts.copy()
    job.run(len(trace))
    counts = job.counts - before
    bytewise = 1 - counts[at.HIT_BYTES] / counts[at.BYTES] if byte_sizes else np.nan
    return 1 - counts[at.HITS] / counts[at.REQUESTS], bytewise


def test_story_of_six_requests():
    # a b a c a b: a is second on the stack when it comes again, twice; b is third. All else comes for the first time.
    found = lru_curve(RequestTrace.from_columns([0, 1, 0, 2, 0, 1], name="story"))
    assert found.capacities.tolist() == [2, 3]
    assert found.miss_ratio.tolist() == pytest.approx([4 / 6, 3 / 6])
    assert found.at(1) == 1.0  # a cache of one: nothing is asked for twice in a row
    assert (found.at(2), found.at(2.9), found.at(1000)) == pytest.approx((4 / 6, 4 / 6, 3 / 6))
    assert (found.unit, found.exact, found.requests, found.trace, found.policy) == ("objects", True, 6, "story", "lru")


def test_story_in_bytes():
    # a (10 B) comes again with a and b (20 B) on the stack: 30 B; then with a and c (5 B): 15 B; b with a, c, b: 35 B.
    found = lru_curve(RequestTrace.from_columns([0, 1, 0, 2, 0, 1], sizes=[10, 20, 10, 5, 10, 20]))
    assert found.at([14, 15, 29, 30, 34, 35]) == pytest.approx([6 / 6, 5 / 6, 5 / 6, 4 / 6, 4 / 6, 3 / 6])
    assert found.at([14, 15, 30, 35], "byte_miss_ratio") == pytest.approx([1, 65 / 75, 55 / 75, 35 / 75])


traces = st.lists(st.integers(0, 12), min_size=1, max_size=120)


@given(traces, st.floats(0, 0.9))
@example([0], 0.0)
@example([0, 0], 0.0)
def test_equals_stack_and_replay_at_every_capacity(keys, warmup):
    trace = RequestTrace.from_columns(keys)
    begin = int(len(keys) * warmup)
    found = lru_curve(trace, warmup=warmup)
    for capacity in range(1, trace.n_objects + 2):
        ours = found.at(capacity)
        assert ours == pytest.approx(misses_at(capacity, trace.ids, start=begin)[0])
        assert ours == pytest.approx(replayed(trace, capacity, begin=begin)[0])


@given(traces, st.lists(st.integers(1, 60), min_size=13, max_size=13), st.floats(0, 0.9))
@settings(max_examples=60)
def test_bytes_equal_the_replay_from_the_largest_object_on_and_bound_it_below(keys, size_of, warmup):
    sizes = [size_of[key] for key in keys]
    trace = RequestTrace.from_columns(keys, sizes=sizes)
    begin = int(len(keys) * warmup)
    found = lru_curve(trace, warmup=warmup)
    wanted = [*range(1, sum(set(size_of)), 17), max(sizes), max(sizes) + 1]
    answered = curve(trace, sizes=wanted, warmup=warmup)
    for capacity in wanted:
        ours = (found.at(capacity), found.at(capacity, "byte_miss_ratio"))
        truth = replayed(trace, capacity, byte_sizes=True, begin=begin)
        assert ours == pytest.approx(misses_at(capacity, trace.ids, sizes, begin))
        if capacity >= max(sizes):
            assert ours == pytest.approx(truth)
        assert ours[0] >= truth[0] - 1e-12 and ours[1] >= truth[1] - 1e-12
        assert (answered.at(capacity), answered.at(capacity, "byte_miss_ratio")) == pytest.approx(truth)


@given(traces, st.data())
def test_bytes_of_objects_that_change_their_size_follow_the_latest(keys, data):
    sizes = data.draw(st.lists(st.integers(1, 60), min_size=len(keys), max_size=len(keys)))
    trace = RequestTrace.from_columns(keys, sizes=sizes)
    found = lru_curve(trace)
    for capacity in (1, 7, 40, 100, 300):
        ours = (found.at(capacity), found.at(capacity, "byte_miss_ratio"))
        assert ours == pytest.approx(misses_at(capacity, trace.ids, sizes))


def test_long_trace_equals_the_replay():
    # 3 M requests: beyond 2^21, where the levels of the counting structure change from four children to two.
    trace = zipf(3_000_000, 200_000, alpha=0.8, seed=5)
    found = lru_curve(trace)
    for capacity in (1, 137, 20_000, trace.n_objects - 1):
        assert found.at(capacity) == pytest.approx(replayed(trace, capacity)[0], abs=1e-12)


def test_real_trace_equals_the_replay(shared_data):
    trace = open_trace(shared_data / "lirs" / "multi1.trace.gz", cache=False)
    found = lru_curve(trace)
    for capacity in (1, 100, 600, 1600, trace.n_objects):
        assert found.at(capacity) == pytest.approx(replayed(trace, capacity)[0], abs=1e-12)


def test_real_sizes_that_change_are_close_to_the_replay(shared_data):
    # Requests for one object state different sizes here; the replay charges the one that brought it in, the curve the
    # latest. Everything is the same otherwise, so that this bounds the difference of the two models.
    trace = open_trace(shared_data / "http" / "nasa_19950801.tsv.zst", cache=False)
    found = lru_curve(trace)
    for share in (0.01, 0.1, 0.3):
        capacity = max(int(share * trace.footprint_bytes), int(trace.sizes.max()))
        truth = replayed(trace, capacity, byte_sizes=True)
        assert found.at(capacity) == pytest.approx(truth[0], abs=0.002)
        assert found.at(capacity, "byte_miss_ratio") == pytest.approx(truth[1], abs=0.01)


@pytest.mark.filterwarnings("ignore:overflow encountered")  # interpreted, and meant: bits are counted modulo 2^64
@given(st.lists(st.integers(0, 5000), unique=True, max_size=200))
@settings(max_examples=30)
def test_holes_are_counted_as_a_sorted_list_counts_them(positions):
    holes, seen = no_holes(5001), []
    for position in positions:
        before = sum(other < position for other in seen)
        assert count_before(holes, position) == before
        assert mark_and_count_before(holes, position) == before
        seen.append(position)
    assert count_before(holes, 5000) == sum(other < 5000 for other in seen)


def test_full_lanes_do_not_spill_into_their_neighbours():
    # All of 2^22 positions become holes, in the order that fills each lane to its brim before the next is touched.
    n = 1 << 22
    histogram = stack_histogram(np.arange(-1, n - 1, dtype=np.int32), 1)
    assert histogram.tolist() == [1, n - 1]


@given(traces, st.data())
def test_objects_in_a_stretch(keys, data):
    trace = RequestTrace.from_columns(keys)
    now = np.sort(data.draw(st.lists(st.integers(0, len(keys)), min_size=1, max_size=20)))
    since = np.array([data.draw(st.integers(-1, int(n))) for n in now])
    found = objects_since(trace.prev_use, since.astype(np.int64), now.astype(np.int64))
    expected = [len(set(trace.ids[s:n].tolist())) if s >= 0 else 0 for s, n in zip(since, now, strict=True)]
    assert found.tolist() == expected


@given(st.integers(1, 2**50), st.data())
def test_grid_holds_what_it_promises(largest, data):
    also = data.draw(st.lists(st.integers(1, largest), max_size=3))
    grid = grid_up_to(largest, also)
    capacities = grid.capacities
    assert capacities[-1] == largest and set(also) <= set(capacities.tolist())
    assert (np.diff(capacities) <= np.maximum(1, capacities[:-1] / 1024)).all()
    amount = data.draw(st.integers(1, largest))
    assert place(grid, np.int64(amount)) == np.searchsorted(capacities, amount)


def test_warm_up_counts_the_rest_only():
    trace = RequestTrace.from_columns([0, 1, 2, 0, 1, 2])
    found = lru_curve(trace, warmup="50%")
    assert (found.requests, found.warmup, found.at(2), found.at(3)) == (3, "50%", 1.0, 0.0)


def test_sizes_are_left_out_when_asked():
    trace = RequestTrace.from_columns([0, 1, 0, 2, 0, 1], sizes=[10, 20, 10, 5, 10, 20])
    assert lru_curve(trace, ignore_sizes=True).unit == "objects"
    chosen = curve(trace, sizes=["2obj", 3])
    assert (chosen.unit, chosen.byte_miss_ratio, chosen.capacities.tolist()) == ("objects", None, [2, 3])
    assert chosen.miss_ratio.tolist() == pytest.approx([4 / 6, 3 / 6])


def test_one_request_and_nothing_asked_for_twice():
    for keys in ([7], [1, 2, 3]):
        found = curve(RequestTrace.from_columns(keys))
        assert (found.at(1), found.at(10**9), len(found)) == (1.0, 1.0, 1)
        found.plot()
        assert len(found.to_frame()) == 1 and "<table>" in found._repr_html_()


def test_points_are_of_the_curve_and_near_it():
    found = lru_curve(zipf(200_000, 20_000, seed=2))
    few = found.points(60)
    assert 30 < len(few) <= 60
    assert (few.capacities[0], few.capacities[-1]) == (found.capacities[0], found.capacities[-1])
    assert few.miss_ratio.tolist() == found.at(few.capacities).tolist()
    everywhere = np.arange(1, 20_000)
    assert np.abs(few.at(everywhere) - found.at(everywhere)).max() < 0.04
    # A cliff: a loop misses always, and never once it fits.
    cliff = lru_curve(RequestTrace.from_columns(list(range(1000)) * 20 + [5, 5, 6, 6, 5])).points(4)
    assert 999 < cliff.capacities[cliff.miss_ratio < 0.1][0] <= 1000


def test_table_has_the_columns_of_results():
    from evictlab.sim.result import COLUMNS

    trace = RequestTrace.from_columns([0, 1, 0, 2, 0, 1], sizes=[10, 20, 10, 5, 10, 20], name="t")
    frame = lru_curve(trace).to_frame()
    assert set(frame.columns) - set(COLUMNS) == {"method", "rate"}
    assert all(str(frame[name].dtype) == COLUMNS[name] for name in frame.columns if name in COLUMNS)
    assert frame["capacity_bytes"].tolist() == [15, 30, 35] and frame["capacity_objects"].isna().all()
    assert lru_curve(trace, ignore_sizes=True).to_frame()["capacity_objects"].tolist() == [2, 3]


def test_pictures_and_html():
    trace = zipf(5_000, 500, seed=1, sizes="lognormal:mean=32KiB")
    exact, simulated = curve(trace), curve(trace, "fifo")
    axes = plot_curves([exact, simulated], "byte_miss_ratio").axes[0]
    assert [line.get_label() for line in axes.lines] == ["lru", "fifo"]
    assert "bytes" in axes.get_xlabel()
    assert "byte_miss_ratio" in exact._repr_html_() and "upper bound" in exact._repr_html_()
    assert "exact" in repr(exact) and "KiB" in repr(exact)
    with pytest.raises(UsageError, match="objects or curves in bytes"):
        plot_curves([exact, curve(trace, ignore_sizes=True)])


def test_a_metric_that_is_not_there_is_named():
    found = curve(RequestTrace.from_columns([0, 1, 0]))
    with pytest.raises(UnknownNameError, match="byte_miss_ratio"):
        found.at(1, "byte_miss_ratio")
    with pytest.raises(UsageError, match="2 or more"):
        found.points(1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sizes": []}, "list of capacities"),
        ({"sizes": "10%"}, "list of capacities"),
        ({"sizes": [0]}, "at least 1"),
        ({"sizes": [0.5]}, "whole numbers"),
        ({"sizes": ["100"]}, "no unit"),
        ({"sizes": ["1MB"]}, "no sizes"),
        ({"method": "exakt"}, "unknown method"),
        ({"method": "exact", "sample": 0.1}, "all objects"),
        ({"method": "shards"}, "needs a sample"),
        ({"method": "exact", "policy": "fifo"}, "for lru only"),
        ({"policy": "lruu"}, "lru"),
        ({"policy": "fifo", "sample": "fixed-size:10"}, "for lru only"),
        ({"warmup": 1.0}, "nothing to count"),
    ],
)
def test_what_is_refused(options, said):
    trace = RequestTrace.from_columns([0, 1, 0])
    with pytest.raises(UsageError, match=said):
        curve(trace, **options)


def test_objects_and_bytes_do_not_mix():
    trace = RequestTrace.from_columns([0, 1, 0], sizes=[1, 2, 1])
    with pytest.raises(UsageError, match="in one of them"):
        curve(trace, sizes=["1obj", "10B"])


def test_twin_against_a_stack_by_hand():
    assert list(needed("abacab".translate({97: "0", 98: "1", 99: "2"}))) == [None, None, 2, None, 2, 3]


def test_a_curve_is_a_step_function():
    found = Curve("t", "lru", "objects", np.array([10, 20]), np.array([0.5, 0.2]), None, 10, 10, "exact")
    assert found.at([9, 10, 19, 20, 99]).tolist() == [1.0, 0.5, 0.5, 0.2, 0.2]
    chosen = found.only([20, 15])
    assert (chosen.capacities.tolist(), chosen.miss_ratio.tolist()) == ([15, 20], [0.5, 0.2])
    assert np.isnan(chosen.at(14))  # nobody asked there
