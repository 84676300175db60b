"""The one place where records are dropped or repaired, each time with its reason counted.

Readers report what the file says. Here it becomes requests that a cache can
be asked: nothing is reordered, nothing is guessed silently.

=====================================  =====================================
in the source                          becomes
=====================================  =====================================
a delete                               dropped
size below 0, or 2^53 bytes and more   dropped
size 0                                 1 byte
a time before an earlier one           the latest time so far
a time that is missing                 the latest time so far, else the next
a TTL that is missing or below 0       never expires
a cost that is missing or below 0      0 s
=====================================  =====================================

Predictions pass as they are, missing ones too (NaN): whoever uses one decides.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .batch import DELETE, Account, Batch
from .errors import TraceError

__all__ = ["COLUMNS", "normalise", "take"]

COLUMNS = ("sizes", "times", "ttls", "costs", "ops", "predictions", "known", "logged")
"""The optional columns of a `Batch` and of a `RequestTrace`."""

LARGEST_SIZE = 2**53 - 1
"""Bytes. Larger ones are damage, and sums of them would overflow."""


def normalise(batches: Iterable[Batch], account: Account) -> Iterator[Batch]:
    """Turn what a reader reports into requests.

    Parameters
    ----------
    batches : iterable of Batch
        All with the same columns.
    account : Account
        Counts what is dropped and repaired.

    Yields
    ------
    Batch
        Not empty; sizes 1 .. 2^53 - 1, times that never decrease, no deletes.

    Raises
    ------
    TraceError
        A later batch has other columns than the first.
    """
    present: tuple[str, ...] | None = None
    latest_s = -math.inf
    for batch in batches:
        if len(batch) == 0:
            continue
        columns = tuple(name for name in COLUMNS if getattr(batch, name) is not None)
        if present is None:
            present = columns
        elif columns != present:
            raise TraceError(
                f"one part of the trace has {_words(present)}, another has {_words(columns)}; "
                "open them as separate traces"
            )
        batch = _with_valid_requests(batch, account)
        if len(batch) == 0:
            continue
        if batch.times is not None:
            times = _rising(batch.times, latest_s, account)
            latest_s = float(times[-1])
            batch = replace(batch, times=times)
        yield _with_valid_values(batch, account)


def _words(columns: tuple[str, ...]) -> str:
    return " and ".join(columns) or "only keys"


def take(batch: Batch, which: npt.NDArray[Any] | slice) -> Batch:
    """The requests of `batch` at a mask, at positions or in a slice, with all columns."""
    if isinstance(batch.keys, np.ndarray) or isinstance(which, slice):
        keys = batch.keys[which]
    else:
        keys = batch.keys.filter(which) if which.dtype == np.bool_ else batch.keys.take(which)
    columns = {name: getattr(batch, name) for name in COLUMNS}
    return Batch(keys, **{name: None if c is None else c[which] for name, c in columns.items()})


def _with_valid_requests(batch: Batch, account: Account) -> Batch:
    ops, sizes = batch.ops, batch.sizes
    if ops is not None and (deletes := ops == DELETE).any():
        _count(account.dropped, "delete", deletes)
        batch = take(batch, ~deletes)
        sizes = batch.sizes
    if sizes is not None and len(sizes) and (sizes.min() < 0 or sizes.max() > LARGEST_SIZE):
        negative, huge = sizes < 0, sizes > LARGEST_SIZE
        _count(account.dropped, "negative size", negative)
        _count(account.dropped, "size of 2^53 bytes or more", huge)
        batch = take(batch, ~(negative | huge))
    return batch


def _count(reasons: Counter[str], reason: str, which: npt.NDArray[np.bool_]) -> None:
    """Add the number of requests in `which`; a reason that never occurs is not listed."""
    if n := int(which.sum()):
        reasons[reason] += n


def _with_valid_values(batch: Batch, account: Account) -> Batch:
    sizes, ttls, costs = batch.sizes, batch.ttls, batch.costs
    if sizes is not None and sizes.min() == 0:
        _count(account.repaired, "size 0 -> 1 B", sizes == 0)
        batch = replace(batch, sizes=np.maximum(sizes, 1))
    if ttls is not None and not (ttls >= 0).all():
        bad = ~(ttls >= 0)
        _count(account.repaired, "TTL missing or negative -> never expires", bad)
        batch = replace(batch, ttls=np.where(bad, np.float32(np.inf), ttls))
    if costs is not None and not ((costs >= 0) & (costs < np.inf)).all():
        bad = ~((costs >= 0) & (costs < np.inf))
        _count(account.repaired, "cost missing or negative -> 0 s", bad)
        batch = replace(batch, costs=np.where(bad, np.float32(0), costs))
    return batch


def _rising(times: npt.NDArray[np.float64], latest_s: float, account: Account) -> npt.NDArray[np.float64]:
    """`times` where nothing lies before `latest_s` or before an earlier time."""
    in_order = (times[1:] >= times[:-1]).all() and latest_s <= times[0] and math.isfinite(times[-1])
    if in_order and math.isfinite(times[0]):
        return times
    known = np.isfinite(times)
    filled = np.maximum.accumulate(np.maximum(np.where(known, times, -np.inf), latest_s))
    _count(account.repaired, "time missing -> latest so far", ~known)
    _count(account.repaired, "time went backwards -> latest so far", known & (times < filled))
    first = float(filled[known][0]) if known.any() else max(latest_s, 0.0)
    return np.where(np.isfinite(filled), filled, first)
