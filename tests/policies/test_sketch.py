"""The count-min sketch: what it counts, when it forgets, and how it is sized."""

from __future__ import annotations

import numpy as np
import pytest

from evictlab.policies import Setting
from evictlab.policies.sketch import MOST, add, estimate, expected_residents, make_sketch, place


def test_counts_one_object_up_to_fifteen():
    sketch = make_sketch(Setting(100, 100))
    for count in range(1, MOST + 4):
        add(sketch, np.int32(7))
        assert estimate(sketch, np.int32(7)) == min(count, MOST)


def test_never_too_low_and_seldom_too_high():
    n = 4000
    sketch = make_sketch(Setting(n, 1000, seed=5), sample=100)  # four objects for each that it is meant for
    truth = np.random.default_rng(0).zipf(1.5, n).clip(1, MOST)
    for obj in range(n):
        for _ in range(truth[obj]):
            add(sketch, obj)
    additions, period, _ = sketch.numbers
    assert additions < period  # nothing was halved yet
    error = np.array([estimate(sketch, obj) for obj in range(n)]) - truth
    assert error.min() == 0
    assert error.mean() < 0.25


def test_conservative_counting_leaves_greater_counters_alone():
    """An object that shares one counter with a famous one does not raise it."""
    sketch = make_sketch(Setting(1000, 8))
    famous = 0
    for _ in range(5):
        add(sketch, famous)
    cells = {place(sketch, famous, row) for row in range(4)}
    sharing = next(obj for obj in range(1, 1000) if len(cells & {place(sketch, obj, row) for row in range(4)}) == 1)
    add(sketch, sharing)
    assert (estimate(sketch, sharing), estimate(sketch, famous)) == (1, 5)
    (word, bit) = (cells & {place(sketch, sharing, row) for row in range(4)}).pop()
    assert (int(sketch.words[word]) >> bit) & 15 == 5


def test_all_counters_are_halved_when_the_period_is_over():
    sketch = make_sketch(Setting(100, 2), sample=10)  # twenty additions
    for _ in range(9):
        add(sketch, 1)
    for _ in range(10):
        add(sketch, 2)
    assert (estimate(sketch, 1), estimate(sketch, 2)) == (9, 10)
    add(sketch, 3)
    assert (estimate(sketch, 1), estimate(sketch, 2), estimate(sketch, 3)) == (4, 5, 0)
    assert sketch.numbers[0] == 10


def test_full_counters_are_no_additions():
    """Otherwise one object asked for again and again would make the others forgotten."""
    sketch = make_sketch(Setting(100, 3), sample=10)
    for _ in range(1000):
        add(sketch, 1)
    assert (estimate(sketch, 1), sketch.numbers[0]) == (MOST, MOST)


def test_the_seed_moves_the_counters():
    places = [[place(make_sketch(Setting(50, 50, seed=seed)), obj, 0) for obj in range(50)] for seed in (1, 1, 2)]
    assert places[0] == places[1] != places[2]


@pytest.mark.parametrize("capacity", [1, 7, 8, 9, 4097])
def test_sixteen_counters_per_object_in_whole_cache_lines(capacity):
    sketch = make_sketch(Setting(10_000, capacity))
    assert len(sketch.words) >= capacity and len(sketch.words) % 8 == 0
    assert sketch.words.ctypes.data % 64 == 0
    for obj in range(500):
        words = {place(sketch, obj, row)[0] for row in range(4)}
        assert len(words) == 4 and len({word // 8 for word in words}) == 1
        assert all(0 <= word < len(sketch.words) for word in words)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (Setting(100, 30), 30),
        (Setting(10, 30), 10),
        (Setting(100, 3000, stored=np.zeros(100, np.int64), request_sizes=np.array([50, 150])), 30),
        (Setting(100, 3, stored=np.zeros(100, np.int64), request_sizes=np.array([50, 150])), 1),
        (Setting(100, 3000, stored=np.zeros(100, np.int64)), 100),
    ],
)
def test_how_many_objects_are_expected(setting, expected):
    assert expected_residents(setting) == expected
