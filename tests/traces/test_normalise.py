"""The rules for damaged records: each repair and each loss is counted, nothing else changes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evictlab.traces.batch import DELETE, GET, SET, Account, Batch
from evictlab.traces.errors import TraceError
from evictlab.traces.normalise import normalise

DTYPES = {
    "sizes": np.int64,
    "times": np.float64,
    "ttls": np.float32,
    "costs": np.float32,
    "ops": np.uint8,
    "predictions": np.float64,
}


def batch(keys: list[int], **columns: Any) -> Batch:
    return Batch(np.array(keys, np.uint64), **{name: np.array(c, DTYPES[name]) for name, c in columns.items()})


def test_a_sound_batch_passes_untouched() -> None:
    account = Account()
    sound = batch(
        [1, 2], sizes=[1, 5], times=[0, 0], ttls=[0, np.inf], costs=[0, 1], ops=[GET, SET], predictions=[-1, np.nan]
    )
    (out,) = normalise([sound], account)
    for name in DTYPES:
        assert getattr(out, name) is getattr(sound, name)
    assert (account.dropped, account.repaired) == ({}, {})


def test_damage_is_dropped_or_repaired_and_counted() -> None:
    account = Account()
    batches = [
        batch([1, 2, 3, 4, 5, 6], sizes=[-1, 0, 9, 2**53, 7, 7], ops=[GET, GET, DELETE, GET, GET, SET]),
        batch([7], sizes=[3], ops=[DELETE]),
        batch([], sizes=[], ops=[]),
        batch([8], sizes=[3], ops=[GET]),
    ]
    out = list(normalise(batches, account))
    assert [b.keys.tolist() for b in out] == [[2, 5, 6], [8]]
    assert [b.sizes.tolist() for b in out if b.sizes is not None] == [[1, 7, 7], [3]]
    assert account.dropped == {"delete": 2, "negative size": 1, "size of 2^53 bytes or more": 1}
    assert account.repaired == {"size 0 -> 1 B": 1}


def test_strings_are_dropped_with_their_rows() -> None:
    account = Account()
    texts = Batch(pa.array(["a", "b", "c"]), ops=np.array([GET, DELETE, GET], np.uint8))
    assert [b.keys.to_pylist() for b in normalise([texts], account)] == [["a", "c"]]


def test_predictions_stay_with_their_keys_and_are_never_repaired() -> None:
    account = Account()
    columns = {"ops": [GET, DELETE, GET, GET], "sizes": [1, 1, -1, 1], "predictions": [np.nan, 20, 30, -np.inf]}
    (out,) = normalise([batch([1, 2, 3, 4], **columns)], account)
    assert out.keys.tolist() == [1, 4]
    assert out.predictions is not None
    assert out.predictions.tolist() == pytest.approx([np.nan, -np.inf], nan_ok=True)
    assert (account.dropped, account.repaired) == ({"delete": 1, "negative size": 1}, {})


def test_ttls_and_costs_that_say_nothing() -> None:
    account = Account()
    (out,) = normalise([batch([1, 2, 3, 4], ttls=[0, -1, np.nan, 5], costs=[-2, np.nan, np.inf, 1])], account)
    assert out.ttls is not None
    assert out.costs is not None
    assert out.ttls.tolist() == [0, math.inf, math.inf, 5]
    assert out.costs.tolist() == [0, 0, 0, 1]
    assert account.repaired == {
        "TTL missing or negative -> never expires": 2,
        "cost missing or negative -> 0 s": 3,
    }


def test_times_rise_across_batches() -> None:
    account = Account()
    batches = [batch([1, 2, 3], times=[np.nan, 5, 4]), batch([4, 5], times=[3, 6])]
    times = [t for b in normalise(batches, account) if b.times is not None for t in b.times.tolist()]
    # The first time is missing and nothing lies before it, so it takes the next one.
    assert times == [5, 5, 5, 5, 6]
    assert account.repaired == {"time missing -> latest so far": 1, "time went backwards -> latest so far": 2}


def naive_rising(times: list[float]) -> tuple[list[float], int, int]:
    latest, out, missing, backwards = -math.inf, [], 0, 0
    for time in times:
        missing += not math.isfinite(time)
        backwards += math.isfinite(time) and time < latest
        latest = max(latest, time) if math.isfinite(time) else latest
        out.append(latest)
    return out, missing, backwards


@given(
    st.lists(
        st.lists(st.floats(-5, 5) | st.sampled_from([math.nan, math.inf, -math.inf]), min_size=1, max_size=6),
        max_size=4,
    )
)
def test_times_agree_with_one_at_a_time(pieces: list[list[float]]) -> None:
    pieces = [[0.0], *pieces]
    account = Account()
    batches = [batch(list(range(len(piece))), times=piece) for piece in pieces]
    out = [t for b in normalise(batches, account) if b.times is not None for t in b.times.tolist()]
    expected, missing, backwards = naive_rising([t for piece in pieces for t in piece])
    assert out == expected
    assert sum(account.repaired.values()) == missing + backwards
    assert account.repaired.get("time missing -> latest so far", 0) == missing


def test_normalising_twice_changes_and_counts_nothing() -> None:
    damaged = [batch([1, 2, 3, 4], sizes=[0, -1, 2, 3], times=[2, 1, np.nan, 1])]
    once = list(normalise(damaged, Account()))
    account = Account()
    twice = list(normalise(once, account))
    assert [b.times.tolist() for b in twice if b.times is not None] == [[2, 2, 2]]
    assert (account.dropped, account.repaired) == ({}, {})


def test_parts_with_other_columns_do_not_fit_together() -> None:
    with pytest.raises(TraceError, match="has sizes, another has only keys"):
        list(normalise([batch([1], sizes=[1]), batch([2])], Account()))
    with pytest.raises(TraceError, match="has sizes, another has sizes and predictions"):
        list(normalise([batch([1], sizes=[1]), batch([2], sizes=[1], predictions=[0])], Account()))
