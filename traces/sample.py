"""Smaller traces from large ones: by object (SHARDS), by time, or the first requests.

Each comes twice: for batches, so that a trace larger than memory is cut while
it is read, and for a `RequestTrace`.

Source of the sampling by object: Waldspurger et al., "Efficient MRC construction
with SHARDS", FAST 2015, section 3: a request is kept if hash(key) mod P < T, so
either all requests for an object are kept or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .batch import Batch
from .densify import hash_keys
from .errors import CapabilityError, UsageError
from .mix import mix64
from .normalise import take
from .request import RequestTrace
from .units import format_duration

__all__ = [
    "check_rate",
    "head",
    "sample_batches",
    "sample_objects",
    "sampled",
    "time_slice",
    "time_slice_batches",
    "train_test",
]

MODULUS = 1 << 24
"""P of the paper: rates are multiples of 2^-24."""

GOLDEN_GAMMA = 0x9E3779B97F4A7C15
"""Added to the seed, as splitmix64 does, so that key 0 with seed 0 is not mixed to 0."""


def check_rate(rate: float) -> None:
    """Raise a UsageError unless `rate` is a share above 0 and at most 1."""
    if not 0 < rate <= 1:
        raise UsageError(f"a sample of {rate:g} of the objects is not possible: above 0 and at most 1, as in 1%")


def sampled(keys: Any, rate: float, seed: int = 0) -> npt.NDArray[np.bool_]:
    """Which keys belong to the sample; the same on every machine, and a subset for a lower rate.

    Parameters
    ----------
    keys : uint64[m] or pyarrow string array of length m
    rate : float
        Share of the keys, above 0 and at most 1.
    seed : int
        Another seed, another sample.

    Raises
    ------
    UsageError
        The rate is not a share.
    """
    check_rate(rate)
    threshold = max(1, round(rate * MODULUS))
    salt = mix64(np.array([(seed + GOLDEN_GAMMA) % 2**64], np.uint64))
    return np.asarray(mix64(hash_keys(keys) ^ salt) % np.uint64(MODULUS) < np.uint64(threshold))


def sample_batches(batches: Iterable[Batch], rate: float, seed: int = 0) -> Iterator[Batch]:
    """All requests for a share of the objects; see `sampled`."""
    for batch in batches:
        yield take(batch, sampled(batch.keys, rate, seed))


def sample_objects(trace: RequestTrace, rate: float, seed: int = 0) -> RequestTrace:
    """All requests for a share of the objects; see `sampled`.

    Raises
    ------
    UsageError
        The rate is not a share.
    TraceError
        No object is in the sample.
    """
    kept = sampled(trace.keys, rate, seed)
    note = f"sample of {rate:.4g} of the objects (seed {seed}): {int(kept.sum()):,} of {trace.n_objects:,}"
    return trace.select(kept[trace.ids], note)


def head(batches: Iterable[Batch], n_requests: int) -> Iterator[Batch]:
    """The first `n_requests` requests; nothing is read after them."""
    left = n_requests
    for batch in batches:
        yield take(batch, slice(0, left))
        left -= len(batch)
        if left <= 0:
            return


def time_slice_batches(batches: Iterable[Batch], start_s: float = 0.0, stop_s: float | None = None) -> Iterator[Batch]:
    """Requests from `start_s` (included) to `stop_s` (not included) after the first; reading stops there.

    Raises
    ------
    CapabilityError
        The trace has no times.
    """
    origin_s: float | None = None
    for batch in batches:
        if batch.times is None:
            raise CapabilityError("a time range needs the times of the requests, which this trace lacks")
        if origin_s is None:
            origin_s = float(batch.times[0])
        start, stop = _range(batch.times - origin_s, start_s, stop_s)
        if start < stop:
            yield take(batch, slice(start, stop))
        if stop < len(batch):
            return


def time_slice(trace: RequestTrace, start_s: float = 0.0, stop_s: float | None = None) -> RequestTrace:
    """Requests from `start_s` (included) to `stop_s` (not included) after the first.

    Raises
    ------
    CapabilityError
        The trace has no times.
    TraceError
        No request lies in the range.
    """
    if trace.times is None:
        raise CapabilityError(f"a time range needs the times of the requests, which {trace.name} does not have")
    start, stop = _range(trace.times - trace.times[0], start_s, stop_s)
    until = "the end" if stop_s is None else format_duration(stop_s)
    return trace.select(slice(start, stop), f"from {format_duration(start_s)} to {until}")


def train_test(trace: RequestTrace, test_share: float = 0.5) -> tuple[RequestTrace, RequestTrace]:
    """Cut a trace in two: learn on the earlier part, judge on the later one.

    Parameters
    ----------
    trace : RequestTrace
    test_share : float
        Share of the time that the later part gets, or of the requests where there
        are no times; between 0 and 1.

    Raises
    ------
    UsageError
        `test_share` is not between 0 and 1.
    TraceError
        One part would be empty.
    """
    if not 0 < test_share < 1:
        raise UsageError(f"the test part cannot be {test_share:g} of the trace: between 0 and 1, as in 0.5")
    cut = round(trace.n_requests * (1 - test_share))
    if trace.times is not None and trace.duration_s:
        cut = int(np.searchsorted(trace.times, trace.times[0] + trace.duration_s * (1 - test_share)))
    return trace[:cut], trace[cut:]


def _range(since_start_s: npt.NDArray[np.float64], start_s: float, stop_s: float | None) -> tuple[int, int]:
    start = int(np.searchsorted(since_start_s, start_s))
    return start, len(since_start_s) if stop_s is None else int(np.searchsorted(since_start_s, stop_s))
