"""The set of positions, against a Python set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evictlab.policies.bitset import add, largest, make_bitset, remove


@pytest.mark.parametrize("n", [1, 64, 65, 4096, 4097, 300_000])
def test_levels_end_in_one_word(n):
    bits = make_bitset(n)
    assert largest(bits) == -1
    add(bits, n - 1)
    assert largest(bits) == n - 1
    assert bits.begins[-1] - bits.begins[-2] == 1
    remove(bits, n - 1)
    assert not bits.words.any()


@given(st.lists(st.integers(0, 299_999) | st.integers(0, 130), max_size=80))
def test_the_largest_is_the_largest(positions):
    bits, model = make_bitset(300_000), set()
    for position in positions:
        add(bits, position)
        model.add(position)
        assert largest(bits) == max(model)
        if position % 3 == 0:
            top = max(model)
            remove(bits, top)
            model.remove(top)
            assert largest(bits) == max(model, default=-1)
