"""The order of requests within a second: kept, turned round, shuffled."""

from __future__ import annotations

import numpy as np
import pytest

from evictlab.sim.plan import Capacity
from evictlab.sim.ties import tie_sensitivity, tied_share
from evictlab.traces.errors import UsageError
from evictlab.traces.generate import zipf
from evictlab.traces.request import RequestTrace

ONE, TWO = Capacity(1, False, "1obj"), Capacity(2, False, "2obj")


def test_a_story_of_one_second() -> None:
    # With room for one object, A A B B hits twice. Turned round that is B B A A: as good. But A B A B hits never.
    stamps = [0.0, 0.25, 0.5, 0.75]
    together = RequestTrace.from_columns(["A", "A", "B", "B"], times=stamps)
    apart = RequestTrace.from_columns(["A", "B", "A", "B"], times=stamps)
    assert tie_sensitivity(together, ONE, shuffles=0).others == (0.5,)
    found = tie_sensitivity(apart, ONE, shuffles=20)
    assert found.miss_ratio == 1.0
    assert min(found.others) == 0.5  # some shuffle puts equals side by side
    assert found.largest == 0.5


def test_only_the_order_within_a_second_changes() -> None:
    # One request a second: nothing is tied, so whatever the order, the result is the same.
    trace = zipf(500, 50, seed=3)
    timed = RequestTrace.from_columns(np.asarray(trace.keys)[trace.ids], times=np.arange(500.0))
    assert tied_share(timed) == 0.0
    assert tie_sensitivity(timed, TWO).largest == 0.0


def test_who_is_tied() -> None:
    trace = RequestTrace.from_columns([1, 2, 3, 4, 5], times=[0.0, 0.5, 1.0, 2.0, 2.5])
    assert tied_share(trace) == pytest.approx(4 / 5)


def test_sizes_go_with_their_requests() -> None:
    # 1 and 2 take 60 of 100 bytes each and do not fit together, 3 fits with either.
    trace = RequestTrace.from_columns([1, 3, 1, 2], sizes=[60, 30, 60, 60], times=[0.0, 0.25, 0.5, 0.75])
    found = tie_sensitivity(trace, Capacity(100, True, "100B"), shuffles=0)
    assert found.miss_ratio == pytest.approx(3 / 4)
    assert found.others == pytest.approx((3 / 4,))


def test_without_times() -> None:
    with pytest.raises(UsageError, match="no times"):
        tie_sensitivity(RequestTrace.from_columns([1, 2]), ONE)
