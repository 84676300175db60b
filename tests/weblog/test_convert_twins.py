"""From lines to requests, beside plain loops: whatever the lines, arrivals, sizes and accounts are these."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from access_logs import column, log
from hypothesis import given
from hypothesis import strategies as st

from evictlab.traces.batch import Account
from evictlab.traces.weblog.requests.arrivals import arrivals
from evictlab.traces.weblog.requests.convert import Choices, convert
from evictlab.traces.weblog.requests.nearest import by_group, nearest_value
from evictlab.traces.weblog.requests.sizes import Evidence, sizes_of
from evictlab.traces.weblog.rules import CacheRules

NAN = float("nan")


LINES = st.lists(
    st.fixed_dictionaries(
        {
            "key": st.integers(0, 4),
            "status": st.sampled_from([200, 200, 206, 301, 304, 404, 499, 0]),
            "method": st.sampled_from(["GET", "GET", "HEAD", "POST", ""]),
            "body": st.integers(-1, 50),
            "total": st.sampled_from([-1, -1, 60]),
            "end_s": st.integers(0, 300),
            "barred": st.sampled_from(["", "", "", "Set-Cookie"]),
            "upstream_s": st.sampled_from([NAN, 0.1, 0.2]),
        }
    ),
    min_size=1,
    max_size=30,
)


@given(LINES, st.sampled_from(["order", "reverse", "shuffle"]), st.integers(1, 7))
def test_every_line_is_accounted_for_and_values_are_sound(lines: list[dict[str, Any]], ties: str, size: int) -> None:
    account = Account()
    batches = list(convert(log(*lines), CacheRules(), Choices(epoch_s=60.0, ties=ties, batch=size), account))
    assert len(lines) == sum(map(len, batches)) + sum(account.dropped.values())
    assert all(0 < len(batch) <= size for batch in batches)
    times = [time for batch in batches for time in column(batch.times)]
    assert times == sorted(times)
    for batch in batches:
        if batch.sizes is not None:
            assert (batch.sizes >= 0).all()
            assert batch.known is not None


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.5, 1.0, 1.0, 2.0, 7.0, NAN])), min_size=1))
def test_arrivals_agree_with_a_plain_loop(lines: list[tuple[int, float]]) -> None:
    end_s = np.array([float(second) for second, _ in lines])
    duration_s = np.array([duration for _, duration in lines])
    found = arrivals(end_s, np.ones(len(lines), bool), duration_s)
    expected = []
    for i, (second, duration) in enumerate(lines):
        same = [j for j, (other, _) in enumerate(lines) if other == second]
        expected.append(second + same.index(i) / len(same) - (0.0 if np.isnan(duration) else duration))
    assert found.times_s.tolist() == pytest.approx(expected)
    assert found.order.tolist() == sorted(range(len(lines)), key=lambda i: found.times_s[i])


EVIDENCE = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 2),
        st.sampled_from(["own", "stated", "whole", "part", "none"]),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=25,
)


@given(EVIDENCE)
def test_sizes_agree_with_a_plain_loop(lines: list[tuple[int, int, str, int]]) -> None:
    kinds = ("own", "stated", "whole", "part")
    columns = {kind: np.array([size if what == kind else -1 for _, _, what, size in lines]) for kind in kinds}
    ids = np.array([key for key, *_ in lines], np.int32)
    found = sizes_of(ids, np.array([epoch for _, epoch, *_ in lines]), Evidence(**columns))
    expected = naive_sizes(lines)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert list(zip(found.n_bytes.tolist(), found.known.tolist(), strict=True)) == expected
        assert sum(found.imputed.values()) == sum(not known for _, known in expected)


def naive_sizes(lines: list[tuple[int, int, str, int]]) -> list[tuple[int, bool]] | None:
    """As the documentation of `traces.weblog.requests.sizes` says, line by line."""
    best: dict[tuple[int, int], int] = {}
    part: dict[tuple[int, int], int] = defaultdict(lambda: -1)
    for key, epoch, what, size in lines:
        if what in ("stated", "whole"):
            best[key, epoch] = max(size, best.get((key, epoch), -1))
        if what == "part":
            part[key, epoch] = max(size, part[key, epoch])
    sizes: list[tuple[int, bool]] = []
    for key, epoch, what, size in lines:
        if what in ("own", "stated"):
            sizes.append((size, True))
            continue
        days = sorted(day for other, day in best if other == key)
        near = [day for day in days if day <= epoch][-1:] or days[:1]
        if near:
            found = max(best[key, near[0]], part[key, epoch])
        else:
            found = max([part[key, day] for other, day in list(part) if other == key], default=-1)
        sizes.append((found, what == "whole" and size == found))
    if any(size < 0 for size, _ in sizes):
        largest: dict[int, int] = {}
        for (key, *_), (size, known) in zip(lines, sizes, strict=True):
            if known:
                largest[key] = max(size, largest.get(key, -1))
        if not largest:
            return None
        median = int(np.median(list(largest.values())))
        sizes = [(median if size < 0 else size, known) for size, known in sizes]
    return sizes


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1))
def test_nearest_value_agrees_with_a_plain_search(rows: list[tuple[int, bool]]) -> None:
    ids = np.array([key for key, _ in rows])
    known = np.array([is_known for _, is_known in rows])
    order = by_group(ids)
    values, came_from = nearest_value(ids[order], order, known[order])
    for position, row in enumerate(order.tolist()):
        same = [i for i in range(len(rows)) if ids[i] == ids[row] and known[i]]
        earlier, later = [i for i in same if i <= row], [i for i in same if i > row]
        assert values[position] == (earlier[-1:] or later[:1] or [row])[0]
        assert came_from[position] == (0 if known[row] else -1 if earlier else 1 if later else 2)
