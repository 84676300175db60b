"""Traces that are nothing but big-endian numbers: cache2k, CloudPhysics, Corda, Scarab.

::

    int32_t key;     // cache2k (signed), cloudphysics (unsigned)
    int64_t key;     // corda, scarab

There is no magic number, so such a file is recognised by regularity only: the
upper bytes of a number vary less than the lower ones and neighbours are often
close, or whole 64-bit hashes recur.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..batch import Batch
from .base.binary import RecordReader
from .base.registry import trace_format
from .base.sniff import LIKELY, Head

__all__ = ["Cache2k", "CloudPhysics", "Corda", "Scarab"]

_CAFFEINE = (
    "https://github.com/ben-manes/caffeine/tree/master/simulator/src/main/java"
    "/com/github/benmanes/caffeine/cache/simulator/parser/"
)
_LEAST = 64
"""Fewer numbers than this show no regularity."""


class _Numbers(RecordReader):
    def batch(self, records: npt.NDArray[Any]) -> Batch:
        wide = np.uint64 if records.dtype.kind == "u" else np.int64
        return Batch(keys=records.astype(wide).view(np.uint64))


@trace_format(
    "cache2k",
    title="cache2k keys",
    description="big-endian int32 per request",
    source=_CAFFEINE + "cache2k",
    suffixes=(".trace",),
)
class Cache2k(_Numbers):
    """Reader of the cache2k benchmark's traces; also what cloudphysics files are recognised as."""

    dtype = np.dtype(">i4")

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Likely if numbers of 4 bytes look regular."""
        return LIKELY * (_number_bytes(head) == 4)


@trace_format(
    "cloudphysics",
    title="CloudPhysics keys",
    description="big-endian uint32 block number per request",
    source=_CAFFEINE + "cloud_physics",
)
class CloudPhysics(_Numbers):
    """Reader of the LIRS2 authors' CloudPhysics traces; like cache2k but never negative."""

    dtype = np.dtype(">u4")


@trace_format(
    "corda",
    title="Corda keys",
    description="big-endian int64 per request",
    source=_CAFFEINE + "corda",
)
class Corda(_Numbers):
    """Reader of R3 Corda's traces; also what scarab files are recognised as."""

    dtype = np.dtype(">i8")

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Likely if numbers of 8 bytes look regular."""
        return LIKELY * (_number_bytes(head) == 8)


@trace_format(
    "scarab",
    title="Scarab keys",
    description="big-endian int64 per request",
    source=_CAFFEINE + "scarab",
)
class Scarab(_Numbers):
    """Reader of Scarab Research's traces; the same layout as corda."""

    dtype = np.dtype(">i8")


def _number_bytes(head: Head) -> int:
    """Return 4 or 8 if the content is a sequence of numbers that wide, else 0."""
    words = np.frombuffer(head.data, ">u4", len(head.data) // 8 * 2).astype(np.int64)
    if len(words) < _LEAST or head.text:
        return 0
    high, low = words[::2], words[1::2]
    n_high, n_low, n_pairs = len(np.unique(high)), len(np.unique(low)), len(np.unique(words.view("i8,i8")))
    if n_high <= 4 < n_low:  # small 64-bit numbers: the upper half hardly changes
        return 8
    hashes = n_pairs <= 1.02 * max(n_high, n_low) and not np.isin(high, low).mean() > 0.05
    if hashes and min(_variety(head.data, 8)) > 7:  # 64-bit hashes: noise, except that some recur
        return 8 if n_pairs < 0.99 * len(high) else 0
    variety = _variety(head.data, 4)
    near = np.abs(np.diff(words)) < 1 << 16
    return 4 if variety[0] <= variety[1] and variety[0] + 1 < max(variety) and near.mean() > 0.02 else 0


def _variety(data: bytes, width: int) -> list[float]:
    """Entropy in bits of the bytes at each position of numbers that wide."""
    table = np.frombuffer(data, np.uint8, len(data) // width * width).reshape(-1, width)
    entropies = []
    for column in table.T:
        share = np.bincount(column, minlength=256) / len(column)
        share = share[share > 0]
        entropies.append(float(-(share * np.log2(share)).sum()))
    return entropies
