"""Split requests for address ranges into requests for fixed blocks (``--split 4KiB``).

A block device is asked for `size` bytes from an address on; a cache of blocks
sees one request per block that this range touches, in ascending order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from .batch import Account, Batch
from .errors import CapabilityError
from .normalise import take
from .readers.base.runs import runs

__all__ = ["split_blocks"]

MOST_BLOCKS = 1 << 20
"""A request for more blocks than this (4 GiB in blocks of 4 KiB) is damage, not a request."""


def split_blocks(batches: Iterable[Batch], block_bytes: int, address_bytes: int, account: Account) -> Iterator[Batch]:
    """Replace each request by one request per block that it touches.

    Parameters
    ----------
    batches : iterable of Batch
        Normalised; integer keys, with sizes.
    block_bytes : int
        Size of a block.
    address_bytes : int
        Bytes that one step of the key stands for: 1 where keys are byte addresses,
        512 where they are sectors.
    account : Account
        Counts requests dropped because their range is not credible.

    Yields
    ------
    Batch
        Keys are block numbers, sizes are `block_bytes`; other columns are repeated.

    Raises
    ------
    CapabilityError
        The keys are no addresses, or the trace has no sizes.
    """
    for batch in batches:
        if not isinstance(batch.keys, np.ndarray):
            raise CapabilityError("splitting into blocks needs keys that are addresses; these are strings")
        if batch.sizes is None:
            raise CapabilityError("splitting into blocks needs the size of each request, which this trace lacks")
        sizes = batch.sizes
        in_range = (batch.keys < 2**62 // address_bytes) & (sizes // block_bytes + 2 <= MOST_BLOCKS)
        if not in_range.all():
            account.dropped["address or size out of range"] += int((~in_range).sum())
            batch, sizes = take(batch, in_range), sizes[in_range]
        start = batch.keys.astype(np.int64) * address_bytes
        first = start // block_bytes
        counts = (start + sizes - 1) // block_bytes - first + 1
        for record, step in runs(counts):
            part = take(batch, record)
            yield replace(
                part,
                keys=(first[record] + step).astype(np.uint64),
                sizes=np.full(len(record), block_bytes, np.int64),
            )
