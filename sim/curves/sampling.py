"""Which objects and which requests a sample holds, and one pass over a trace that looks at no others.

An object belongs to the sample when its number, hashed with the seed, falls below the rate: all of its requests are
kept, or none. Equal traces and equal seeds give equal samples, and a lower rate gives a part of a higher one's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...policies import contract
from ...policies.contract import helper
from ...traces.errors import UsageError
from ...traces.jit import kernel

__all__ = ["Watched", "check_rate", "empty_sample", "salt_of", "sampled_objects", "spread", "spread_hash", "watch"]

_HASHES = 1 << 64
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def check_rate(rate: float) -> float:
    """Return the rate as a float, or refuse it.

    Raises
    ------
    UsageError
        Not a number above 0 and at most 1.
    """
    if isinstance(rate, bool) or not isinstance(rate, (int, float, np.number)) or not 0 < rate <= 1:
        raise UsageError(f"a sampling rate of {rate!r} is not possible; take one above 0 and at most 1, such as 0.01")
    return float(rate)


@helper
def spread_hash(obj: Any, salt: Any) -> Any:
    """Hash of an object number, uint64: steps of the golden ratio around the circle of 2^64, from the salt on.

    Knuth's multiplicative hash (The Art of Computer Programming 3, section 6.4). Of all such sequences it covers the
    circle most evenly: any stretch of numbers has its share in any sample, give or take an object or two. Numbers follow
    first appearance, so that a sample is balanced over the trace. A uniform salt gives each object the same probability.
    """
    return np.uint64(obj) * _GOLDEN + salt


def salt_of(seed: int) -> np.uint64:
    """Return the number that is hashed together with object numbers, uniform over all uint64."""
    return np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]  # type: ignore[no-any-return]


def sampled_objects(n_objects: int, rate: float, seed: int = 0) -> npt.NDArray[np.bool_]:
    """Say of each object whether it is in the sample.

    Parameters
    ----------
    n_objects : int
    rate : float
        Probability of each object, above 0 and at most 1.
    seed : int

    Returns
    -------
    bool[n_objects]

    Raises
    ------
    UsageError
        The rate is no such probability, or the sample would be empty.
    """
    chosen = np.empty(n_objects, np.bool_)
    if not _choose(salt_of(seed), _highest(rate), chosen):
        raise empty_sample(rate, n_objects)
    return chosen


def _highest(rate: float) -> np.uint64:
    """The largest hash in the sample."""
    return np.uint64(max(0, round(check_rate(rate) * _HASHES) - 1))


def empty_sample(rate: float, n_objects: int) -> UsageError:
    """The error to raise when no object is in the sample."""
    enough = min(1.0, 100 / n_objects)
    return UsageError(f"a sample of {rate:g} of {n_objects:,} objects holds none; take a rate of {enough:.2g} or more")


@kernel(made_of=[contract], error_model="numpy")
def _choose(salt: Any, highest: Any, chosen: Any) -> Any:
    count = 0
    for obj in range(len(chosen)):
        chosen[obj] = spread_hash(obj, salt) <= highest
        count += chosen[obj]
    return count


def spread(start: int, stop: int, rate: float, seed: int = 0) -> npt.NDArray[np.int64]:
    """Pick requests at random, one from each of many equal stretches.

    Parameters
    ----------
    start, stop : int
        Requests start .. stop-1 are to be represented.
    rate : float
        Share of them to pick; 1 picks each exactly once.
    seed : int

    Returns
    -------
    int64[m], m = max(1, rate * (stop - start)) rounded
        Positions in order.

    Notes
    -----
    Random within each stretch, because a fixed stride would resonate with a trace that repeats itself.
    """
    count = max(1, round((stop - start) * rate))
    jitter = np.random.default_rng([seed, 1]).random(count)
    picked = start + (np.arange(count) + jitter) * ((stop - start) / count)
    return np.minimum(picked.astype(np.int64), stop - 1)


class Watched(NamedTuple):
    """What one pass over a trace has noted.

    Attributes
    ----------
    positions : int32[s] or int64[s]
        Requests for sampled objects, in order: the sampled stream.
    prev_use : int32[s] or int64[s]
        The request before for the same object, as a place in the sampled stream; -1 for the first.
    since : int64[m]
        For each request asked about: where the sampled stream stood after the last request for the same object; -1
        when there was none.
    now : int64[m]
        Where the sampled stream stands at that request.
    """

    positions: npt.NDArray[Any]
    prev_use: npt.NDArray[Any]
    since: npt.NDArray[np.int64]
    now: npt.NDArray[np.int64]


def watch(ids: npt.NDArray[np.int32], n_objects: int, rate: float, seed: int, asked: npt.NDArray[np.int64]) -> Watched:
    """Follow the requests for sampled objects, and note for some requests, to any object, where these stood.

    Parameters
    ----------
    ids : int32[n]
    n_objects : int
    rate, seed
        As in `sampled_objects`.
    asked : int64[m]
        Positions in order.

    Raises
    ------
    UsageError
        No object is in the sample.
    """
    dtype = np.int32 if len(ids) < 2**31 - 2 else np.int64
    # Room for all requests; memory that is not written to costs nothing.
    positions, prev_use = np.empty(len(ids), dtype), np.empty(len(ids), dtype)
    since, now = np.empty(len(asked), np.int64), np.empty(len(asked), np.int64)
    stood = np.zeros(n_objects, dtype)
    count = _watch(ids, salt_of(seed), _highest(rate), asked, stood, positions, prev_use, since, now)
    if count == 0:
        raise empty_sample(rate, n_objects)
    return Watched(positions[:count].copy(), prev_use[:count].copy(), since, now)


@kernel(made_of=[contract], error_model="numpy", _nrt=False)
def _watch(
    ids: Any,
    salt: Any,
    highest: Any,
    asked: Any,
    stood: Any,
    positions: Any,
    prev_use: Any,
    since: Any,
    now: Any,
) -> Any:
    """`stood` holds, per object, 1 + the length of the sampled stream after its last request; 0 for none.

    The hash is computed anew for each request: a table of all objects would be read from slower memory than that.
    """
    length = 0
    i = 0
    for j in range(len(asked) + 1):
        stop = asked[j] if j < len(asked) else len(ids)
        for k in range(i, stop):
            obj = ids[k]
            if spread_hash(obj, salt) <= highest:
                positions[length] = k
                prev_use[length] = max(np.int64(stood[obj]) - 2, -1)
                length += 1
            stood[obj] = length + 1
        i = stop
        if j < len(asked):
            since[j] = np.int64(stood[ids[i]]) - 1
            now[j] = length
    return length
