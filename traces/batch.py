"""What a reader hands over: columns of a few hundred thousand requests at a time.

A reader turns bytes into `Batch` objects and counts, in an `Account`, every
record that it dropped or repaired. It does not number the keys: that is done
once for all readers, afterwards (`densify`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DELETE", "GET", "LOGGED", "OTHER", "SET", "Account", "Batch"]

GET, SET, DELETE, OTHER = np.uint8(0), np.uint8(1), np.uint8(2), np.uint8(3)

LOGGED = ("", "MISS", "HIT", "EXPIRED", "STALE", "UPDATING", "REVALIDATED", "BYPASS")
"""What a real cache may have answered, in the words of NGINX's ``$upstream_cache_status``; empty: it did not say."""


@dataclass(frozen=True)
class Batch:
    """Some consecutive requests, as columns of equal length.

    Attributes
    ----------
    keys : uint64[m] or pyarrow string array of length m
        Whatever names the object in the source. Signed and byte-swapped integers
        arrive here as their uint64 bit pattern.
    sizes : int64[m], bytes, or None
        None when the source does not say.
    times : float64[m], seconds from any origin, or None
    ttls : float32[m], seconds, or None
        ``inf`` means that the object does not expire.
    costs : float32[m], seconds that a miss takes at the origin, or None
    ops : uint8[m], `GET` .. `OTHER`, or None
    predictions : float64[m] or None
        What was predicted at each request, a bit or the index of the object's next
        request; NaN where nothing was.
    known : bool[m] or None
        Whether the source states the size of this request; False where it was concluded from others.
    logged : uint8[m] or None
        What the real cache answered, an index into `LOGGED`.
    """

    keys: Any
    sizes: npt.NDArray[np.int64] | None = None
    times: npt.NDArray[np.float64] | None = None
    ttls: npt.NDArray[np.float32] | None = None
    costs: npt.NDArray[np.float32] | None = None
    ops: npt.NDArray[np.uint8] | None = None
    predictions: npt.NDArray[np.float64] | None = None
    known: npt.NDArray[np.bool_] | None = None
    logged: npt.NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.keys)


@dataclass
class Account:
    """What became of every record of the source.

    Attributes
    ----------
    records : int
        Records seen, whether kept or not (a line, a struct, a JSON object).
    dropped : Counter of str
        Records that gave no request, by reason.
    repaired : Counter of str
        Requests with a value that was mended, by reason.
    notes : list of str
        Facts about the source as a whole that a user should see.
    """

    records: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
