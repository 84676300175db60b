"""RequestTrace: columns, next and previous use, slices, and what it refuses."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evictlab.traces import RequestTrace
from evictlab.traces.errors import TraceError

NEVER = np.iinfo(np.int32).max


def naive_next_use(ids: list[int]) -> list[int]:
    return [next((j for j in range(i + 1, len(ids)) if ids[j] == ids[i]), NEVER) for i in range(len(ids))]


def naive_prev_use(ids: list[int]) -> list[int]:
    return [next((j for j in range(i - 1, -1, -1) if ids[j] == ids[i]), -1) for i in range(len(ids))]


def small() -> RequestTrace:
    return RequestTrace.from_columns(
        ["a", "b", "a", "c", "b"],
        sizes=[10, 20, 15, 5, 20],
        times=[100.0, 101.0, 102.0, 104.0, 110.0],
        ttls=[np.inf, 60, 60, 60, 60],
        costs=[0.1, 0.2, 0.1, 0.3, 0.2],
        ops=[0, 0, 1, 0, 3],
        predictions=[2, 4, -1, np.inf, np.nan],
        name="small",
        notes=["made up"],
    )


def test_five_requests() -> None:
    trace = small()
    assert trace.ids.tolist() == [0, 1, 0, 2, 1]
    assert (trace.n_requests, len(trace), trace.n_objects, trace.name) == (5, 5, 3, "small")
    assert trace.keys.to_pylist() == ["a", "b", "c"]
    assert trace.duration_s == 10.0
    # Object a was seen with 10 and with 15 bytes: it needs room for 15.
    assert trace.object_sizes.tolist() == [15, 20, 5]
    assert trace.footprint_bytes == 40
    assert trace.next_use.tolist() == [2, 4, NEVER, NEVER, NEVER]
    assert trace.prev_use.tolist() == [-1, -1, 0, -1, 1]
    assert [c.dtype for c in (trace.ids, trace.sizes, trace.times, trace.ttls, trace.costs, trace.ops, trace.next_use)] == [
        np.int32, np.int64, np.float64, np.float32, np.float32, np.uint8, np.int32,
    ]  # fmt: skip
    assert trace.predictions.dtype == np.float64
    assert trace.predictions.tolist() == pytest.approx([2, 4, -1, np.inf, np.nan], nan_ok=True)
    assert trace.provenance.account.records == 5
    assert trace.provenance.account.notes == ["made up"]


@given(st.lists(st.integers(0, 8), min_size=1, max_size=60))
def test_next_and_previous_use_agree_with_looking_for_them(keys: list[int]) -> None:
    trace = RequestTrace.from_columns(keys)
    assert trace.next_use.tolist() == naive_next_use(keys)
    assert trace.prev_use.tolist() == naive_prev_use(keys)


def test_one_request() -> None:
    trace = RequestTrace.from_columns([2**64 - 1])
    assert (trace.ids.tolist(), trace.next_use.tolist(), trace.prev_use.tolist()) == ([0], [NEVER], [-1])
    assert (trace.sizes, trace.footprint_bytes, trace.object_sizes, trace.duration_s) == (None, None, None, None)


def test_nothing_can_be_overwritten() -> None:
    trace = small()
    columns = ("ids", "sizes", "times", "ttls", "costs", "ops", "predictions")
    for name in (*columns, "next_use", "prev_use", "object_sizes"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(trace, name)[0] = 1
    with pytest.raises(AttributeError):
        trace.ids = trace.ids  # type: ignore[misc]


def test_the_callers_array_stays_writable() -> None:
    sizes = np.array([1, 2], np.int64)
    RequestTrace.from_columns([1, 2], sizes=sizes)
    sizes[0] = 7


def test_a_slice_is_a_trace_of_its_own() -> None:
    part = small()[2:5]
    assert part.ids.tolist() == [0, 1, 2]
    assert part.n_objects == 3
    assert part.keys.to_pylist() == ["a", "c", "b"]
    assert part.sizes.tolist() == [15, 5, 20]
    assert part.times.tolist() == [102.0, 104.0, 110.0]
    assert part.predictions.tolist() == pytest.approx([-1, np.inf, np.nan], nan_ok=True)
    assert part.provenance.account.notes == ["made up", "requests 2 to 5 of 5"]
    assert small()[3:].n_objects == 2
    assert small()[-1:].keys.to_pylist() == ["b"]


@given(st.lists(st.integers(0, 8), min_size=1, max_size=30), st.data())
def test_a_slice_is_the_trace_of_the_sliced_keys(keys: list[int], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(keys) - 1))
    stop = data.draw(st.integers(start + 1, len(keys)))
    part, direct = RequestTrace.from_columns(keys)[start:stop], RequestTrace.from_columns(keys[start:stop])
    assert part.ids.tolist() == direct.ids.tolist()
    assert part.keys.tolist() == direct.keys.tolist()


def test_select_by_mask() -> None:
    part = small().select(np.array([False, True, False, False, True]), "every b")
    assert (part.ids.tolist(), part.n_objects, part.keys.to_pylist()) == ([0, 0], 1, ["b"])
    assert part.costs.tolist() == pytest.approx([0.2, 0.2])
    assert part.predictions.tolist() == pytest.approx([4, np.nan], nan_ok=True)


def test_batches_give_the_columns_back() -> None:
    batches = list(small().batches(requests=2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert [key for batch in batches for key in batch.keys.to_pylist()] == ["a", "b", "a", "c", "b"]
    assert np.concatenate([batch.ops for batch in batches if batch.ops is not None]).tolist() == [0, 0, 1, 0, 3]
    predictions = np.concatenate([batch.predictions for batch in batches if batch.predictions is not None])
    assert predictions.tolist() == pytest.approx([2, 4, -1, np.inf, np.nan], nan_ok=True)


def test_a_trace_travels_to_another_process() -> None:
    trace = pickle.loads(pickle.dumps(small()))
    assert trace.ids.tolist() == [0, 1, 0, 2, 1]
    assert trace.keys.to_pylist() == ["a", "b", "c"]
    assert trace[1:].keys.to_pylist() == ["b", "a", "c"]
    part = RequestTrace.from_columns(np.zeros(100_000, np.int64), sizes=np.ones(100_000))[:5]
    assert len(pickle.dumps(part)) < 10_000


@pytest.mark.parametrize("bits", [[True, False], [1, 0], [1.0, 0.0], np.array([1, 0], np.int8)])
def test_predictions_may_be_bits_of_any_type(bits: Any) -> None:
    predictions = RequestTrace.from_columns([1, 2], predictions=bits).predictions
    assert predictions is not None
    assert (predictions.dtype, predictions.tolist()) == (np.float64, [1, 0])


def test_deletes_take_their_predictions_along() -> None:
    trace = RequestTrace.from_columns([5, 6, 5, 7], ops=[0, 2, 0, 0], predictions=[50, 60, 51, 70])
    assert trace.keys[trace.ids].tolist() == [5, 5, 7]
    assert trace.predictions.tolist() == [50, 51, 70]


def test_deletes_zero_sizes_and_unsorted_times_are_counted() -> None:
    trace = RequestTrace.from_columns([1, 2, 1], sizes=[0, 5, 5], times=[5, 4, 6], ops=[0, 0, 2])
    account = trace.provenance.account
    assert (account.records, dict(account.dropped)) == (3, {"delete": 1})
    assert dict(account.repaired) == {"size 0 -> 1 B": 1, "time went backwards -> latest so far": 1}
    assert (trace.sizes.tolist(), trace.times.tolist()) == ([1, 5], [5, 5])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"keys": []}, "has no requests"),
        ({"keys": [1, 2], "sizes": [1]}, r"sizes has shape \(1,\), but there are 2 keys"),
        ({"keys": [1, 2], "sizes": [[1], [2]]}, r"shape \(2, 1\)"),
        ({"keys": [1, 2], "sizes": [5, -1]}, r"sizes\[1\] = -1 is negative"),
        ({"keys": [1, 2], "sizes": [5, 2.5]}, r"sizes\[1\] = 2.5 is not a whole number"),
        ({"keys": [1, 2], "times": [1, np.nan]}, r"times\[1\] = nan is not a number"),
        ({"keys": [1, 2], "ttls": [-1, 5]}, r"ttls\[0\] = -1 is negative"),
        ({"keys": [1, 2], "costs": [np.nan, 5]}, r"costs\[0\] = nan"),
        ({"keys": [1, 2], "ops": [0, 7]}, r"ops\[1\] = 7 is no operation"),
        ({"keys": [1, 2], "sizes": ["a", "b"]}, "sizes must be numbers"),
        ({"keys": [1, 2], "predictions": ["a", "b"]}, "predictions must be numbers"),
        ({"keys": [1, 2], "predictions": [1]}, r"predictions has shape \(1,\), but there are 2 keys"),
        (
            {"keys": [1], "ops": [2], "name": "gone"},
            "the trace 'gone' has no requests: of 1 records were dropped 1 delete",
        ),
    ],
)
def test_columns_that_make_no_trace_are_refused(columns: dict[str, Any], words: str) -> None:
    with pytest.raises(TraceError, match=words):
        RequestTrace.from_columns(**columns)


def test_an_empty_slice_is_refused() -> None:
    with pytest.raises(TraceError, match="has no requests"):
        small()[5:]
    with pytest.raises(TypeError, match=r"start:stop"):
        small()[::2]
    with pytest.raises(TraceError, match="times has 1 values for 2 requests"):
        RequestTrace(np.zeros(2, np.int32), 1, times=np.zeros(1))


def test_it_shows_itself() -> None:
    assert repr(small()) == (
        "RequestTrace(name=small, requests=5, objects=3, columns=sizes times ttls costs ops predictions, "
        "footprint=40 B, duration=10 s)"
    )
    html = RequestTrace.from_columns([1], name="<b>")._repr_html_()
    assert "<th>requests</th><td>1</td>" in html
    assert "&lt;b&gt;" in html


def test_huge_objects_do_not_overflow_the_footprint() -> None:
    trace = RequestTrace.from_columns(np.arange(2000), sizes=np.full(2000, 2**53 - 1))
    assert trace.footprint_bytes == 2000 * (2**53 - 1)
