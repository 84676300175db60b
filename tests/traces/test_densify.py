"""Numbering keys: by first appearance, batch after batch, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evictlab.traces.densify import Densifier, as_key_column, hash_keys
from evictlab.traces.errors import TraceError

from naive._hashing import hash_key


def numbered(batches: list[list[Any]]) -> tuple[list[int], list[Any]]:
    """Ids of all requests and the key of each id, from the fast version."""
    densifier = Densifier()
    ids = [i for batch in batches for i in densifier(as_key_column(batch)).tolist()]
    return ids, densifier.keys().tolist()


def naively_numbered(batches: list[list[Any]]) -> tuple[list[int], list[Any]]:
    """The same with a dict."""
    names: dict[Any, int] = {}
    ids = [names.setdefault(key, len(names)) for batch in batches for key in batch]
    return ids, list(names)


def test_five_requests() -> None:
    # 70 is seen first, so it is 0, and stays 0 in the second batch.
    assert numbered([[70, 50, 70], [50, 90, 70]]) == ([0, 1, 0, 1, 2, 0], [70, 50, 90])


@given(
    st.lists(st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**63, 2**64 - 1]), min_size=1), min_size=1)
)
def test_integers_agree_with_a_dict(batches: list[list[int]]) -> None:
    densifier = Densifier()
    ids = [i for batch in batches for i in densifier(np.array(batch, np.uint64)).tolist()]
    assert (ids, densifier.keys().tolist()) == naively_numbered(batches)


@given(
    st.lists(
        st.lists(st.text(max_size=20) | st.sampled_from(["", "\0", "a", "a\0", "abcdefgh", "abcdefgh\0"]), min_size=1)
    )
)
def test_strings_agree_with_a_dict(batches: list[list[str]]) -> None:
    if batches:
        assert numbered(batches) == naively_numbered(batches)


def test_the_table_grows_through_many_sizes() -> None:
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 2**64 - 1, 300_000, dtype=np.uint64)[rng.integers(0, 300_000, 600_000)]
    densifier = Densifier()
    ids = np.concatenate([densifier(piece) for piece in np.array_split(keys, 7)])
    found, first = np.unique(keys, return_index=True)
    assert densifier.n_objects == len(found)
    assert (densifier.keys() == keys[np.sort(first)]).all()
    assert (densifier.keys()[ids] == keys).all()


def test_many_long_strings_outgrow_the_arena() -> None:
    texts = [f"/{'x' * (k % 900)}/{k % 3000}" for k in range(9000)]
    assert numbered([texts[:10], texts[10:5000], texts[5000:]]) == naively_numbered([texts])


@pytest.mark.parametrize("shift", [0, 12, 20, 32, 44])
def test_keys_that_agree_in_their_low_or_high_bits_are_not_slow(shift: int) -> None:
    """200,000 keys that fall into one slot of a table without mixing: seconds turn into minutes there."""
    keys = np.arange(200_000, dtype=np.uint64) << np.uint64(shift)
    densifier = Densifier()
    ids = densifier(keys)
    assert (ids == np.arange(200_000)).all()


def test_one_kind_of_key_only() -> None:
    densifier = Densifier()
    densifier(as_key_column([1, 2]))
    with pytest.raises(TraceError, match="integers in one part of the trace and strings in another"):
        densifier(as_key_column(["1"]))


@pytest.mark.parametrize(
    "keys",
    [
        [3, 1, 3],
        np.array([3, 1, 3], np.int16),
        np.array([3, 1, 3], np.uint64)[::1],
        np.array([3, 9, 1, 9, 3, 9], np.uint64)[::2],
        pd.Series([3, 1, 3]),
        pa.array([3, 1, 3], pa.uint32()),
        pa.chunked_array([[3, 1], [3]]),
        pa.array([3, 1, 3]).dictionary_encode(),
    ],
)
def test_integer_keys_of_any_usual_type(keys: Any) -> None:
    column = as_key_column(keys)
    assert column.dtype == np.uint64
    assert column.tolist() == [3, 1, 3]


@pytest.mark.parametrize(
    "keys",
    [
        ["x", "", "x"],
        np.array(["x", "", "x"]),
        np.array(["x", "", "x"], object),
        pd.Series(["x", "", "x"]),
        pa.array(["x", "", "x"], pa.large_string()),
        pa.array(["x", "", "x"], pa.string_view()),
        pa.chunked_array([["x"], ["", "x"]]),
        pa.array(["x", "", "x"]).dictionary_encode(),
        pa.array(["?", "x", "", "x"])[1:],
    ],
)
def test_string_keys_of_any_usual_type(keys: Any) -> None:
    densifier = Densifier()
    assert densifier(as_key_column(keys)).tolist() == [0, 1, 0]
    assert densifier.keys().to_pylist() == ["x", ""]


def test_signed_and_large_integers_keep_their_bits() -> None:
    assert as_key_column([-1, 5]).tolist() == [2**64 - 1, 5]
    assert as_key_column([2**64 - 1, 5]).tolist() == [2**64 - 1, 5]


@pytest.mark.parametrize("keys", [[1, "a"], [1.5, 2.5], ["a", None], [1, None], [2**64], [2**64 - 1, -1]])
def test_other_keys_are_refused(keys: list[Any]) -> None:
    with pytest.raises(TraceError, match="keys"):
        as_key_column(keys)


def test_hashes_are_the_same_everywhere_and_differ_by_every_byte() -> None:
    # Written down so that a sample taken today is the sample taken tomorrow, elsewhere.
    assert hash_keys(np.array([0, 1, 2], np.uint64)).tolist() == [0, 6238072747940578789, 15839785061582574730]
    assert hash_keys(pa.array(["abcdefgh", "naïve"])).tolist() == [hash_key("abcdefgh"), hash_key("naïve")]
    texts = ["", "a", "b", "ab", "ba", "abcdefgh", "abcdefgi", "abcdefgha", "a\0"]
    hashes = hash_keys(pa.array(texts)).tolist()
    assert len(set(hashes)) == len(texts)
    assert hash_keys(pa.array(["?", *texts])[1:]).tolist() == hashes
    assert hash_keys(pa.array(texts, pa.large_string())).tolist() == hashes
    assert hash_keys(pa.array([], pa.string())).tolist() == []
