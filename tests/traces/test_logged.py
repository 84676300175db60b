"""Which sizes are known and what the real cache answered: columns that travel with their requests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evictlab.traces import RequestTrace, open_trace, write_trace
from evictlab.traces.batch import LOGGED
from evictlab.traces.describe import trace_facts
from evictlab.traces.errors import TraceError

MISS, HIT = LOGGED.index("MISS"), LOGGED.index("HIT")


def three() -> RequestTrace:
    return RequestTrace.from_columns([1, 2, 1], sizes=[5, 6, 7], known=[True, False, True], logged=[MISS, 0, HIT])


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("cache", [False, True])
def test_they_survive_a_file(tmp_path: Path, suffix: str, cache: bool) -> None:
    again = open_trace(write_trace(three(), tmp_path / f"log{suffix}"), cache=cache)
    assert again.known is not None
    assert again.known.dtype == np.bool_
    assert again.known.tolist() == [True, False, True]
    assert again.logged is not None
    assert again.logged.tolist() == [MISS, 0, HIT]


def test_a_slice_takes_its_own_along() -> None:
    part = three()[1:]
    assert part.known is not None
    assert part.logged is not None
    assert (part.known.tolist(), part.logged.tolist()) == ([False, True], [0, HIT])


def test_the_facts_count_them() -> None:
    facts = trace_facts(three())
    assert facts.known_share == pytest.approx(2 / 3)
    assert facts.logged == {"MISS": 1, "HIT": 1}  # of one request the cache said nothing


def test_an_unknown_answer_is_refused() -> None:
    with pytest.raises(TraceError, match=r"logged\[1\] = 99 is no answer of a cache"):
        RequestTrace.from_columns([1, 2], logged=[0, 99])


def test_words_of_other_caches_are_no_answer(tmp_path: Path) -> None:
    file = tmp_path / "other.csv"
    file.write_text("key,size,upstream_cache_status\n1,5,hit\n2,6,TCP_MISS\n3,7,\n")
    trace = open_trace(file, cache=False)
    assert trace.logged is not None
    assert trace.logged.tolist() == [HIT, 0, 0]
