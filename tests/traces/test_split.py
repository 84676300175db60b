"""Block splitting: which blocks does a range of bytes touch?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evictlab.traces.batch import Account, Batch
from evictlab.traces.errors import CapabilityError
from evictlab.traces.split import split_blocks


def split(keys: list[int], sizes: list[int], block: int, step: int = 1) -> tuple[list[int], Account]:
    account = Account()
    batch = Batch(
        np.array(keys, np.uint64), sizes=np.array(sizes, np.int64), times=np.arange(len(keys), dtype=np.float64)
    )
    out = list(split_blocks([batch], block, step, account))
    for part in out:
        assert part.sizes is not None
        assert (part.sizes == block).all()
        assert part.times is not None
        assert len(part.times) == len(part)
    return [key for part in out for key in part.keys.tolist()], account


def test_three_requests() -> None:
    # Bytes 0..4095 are block 0; 4095..4096 touch blocks 0 and 1; 8192..20479 are blocks 2, 3 and 4.
    assert split([0, 4095, 8192], [4096, 2, 12288], 4096)[0] == [0, 0, 1, 2, 3, 4]


def test_keys_that_count_sectors() -> None:
    # Sector 8 is byte 4096.
    assert split([8, 9], [4096, 4096], 4096, step=512)[0] == [1, 1, 2]


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(1, 300)), min_size=1, max_size=20),
    st.integers(1, 64),
    st.integers(1, 8),
)
def test_agrees_with_byte_by_byte(requests: list[tuple[int, int]], block: int, step: int) -> None:
    expected = []
    for key, size in requests:
        expected += sorted({byte // block for byte in range(key * step, key * step + size)})
    assert split([k for k, _ in requests], [s for _, s in requests], block, step)[0] == expected


def test_every_block_has_the_prediction_of_its_request() -> None:
    batch = Batch(
        np.array([0, 2**63, 4096, 100], np.uint64),
        sizes=np.array([8192, 1, 4096, 1], np.int64),
        predictions=np.array([7, 8, np.nan, -1], np.float64),
    )
    (out,) = split_blocks([batch], 4096, 1, Account())
    assert out.keys.tolist() == [0, 1, 1, 0]
    assert out.predictions is not None
    assert out.predictions.tolist() == pytest.approx([7, 7, np.nan, -1], nan_ok=True)


def test_a_long_request_comes_in_pieces() -> None:
    blocks, account = split([0], [(2**20 - 2) * 512], 512)
    assert blocks == list(range(2**20 - 2))
    assert not account.dropped


def test_incredible_ranges_are_dropped_and_counted() -> None:
    blocks, account = split([1, 2**63, 5, 7], [1, 1, 2**52, 1], 512)
    assert blocks == [0, 0]
    assert account.dropped == {"address or size out of range": 2}


def test_names_and_unknown_sizes_cannot_be_split() -> None:
    with pytest.raises(CapabilityError, match="strings"):
        list(split_blocks([Batch(pa.array(["a"]))], 512, 1, Account()))
    with pytest.raises(CapabilityError, match="size of each request"):
        list(split_blocks([Batch(np.array([1], np.uint64))], 512, 1, Account()))
