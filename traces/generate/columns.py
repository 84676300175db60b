"""What all generators are made of: random numbers that are the same everywhere, sizes, arrival times.

Random numbers come from the raw bits of PCG64, whose stream NumPy guarantees, and
are turned into what is needed here; NumPy's own distributions may change with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UnitError, UsageError
from ..mix import mix64
from ..units import parse_size

__all__ = [
    "MAX_OBJECTS",
    "Columns",
    "Dice",
    "arrivals",
    "check",
    "finish",
    "object_sizes",
    "whole_number",
    "zipf_ranks",
]

MAX_OBJECT_BYTES = 2**40

MAX_OBJECTS = 100_000_000
"""More would need gigabytes for the distribution alone."""


@dataclass(frozen=True)
class Columns:
    """What a generator makes: ``keys`` uint64[n], and what else it has.

    ``sizes`` int64[n] bytes, ``times`` float64[n] s, ``ttls`` float32[n] s, ``costs`` float32[n] s, or None.
    """

    keys: npt.NDArray[np.uint64]
    sizes: npt.NDArray[np.int64] | None = None
    times: npt.NDArray[np.float64] | None = None
    ttls: npt.NDArray[np.float32] | None = None
    costs: npt.NDArray[np.float32] | None = None


class Dice:
    """Independent streams of random numbers from one seed; each use takes the next stream."""

    def __init__(self, seed: int) -> None:
        self._seed = whole_number("seed", seed, 0)
        self._streams = 0

    def uniform(self, n: int) -> npt.NDArray[np.float64]:
        """Return n numbers in [0, 1), multiples of 2^-53."""
        sequence = np.random.SeedSequence(self._seed, spawn_key=(self._streams,))
        self._streams += 1
        raw = np.random.PCG64(sequence).random_raw(n)
        return np.asarray((raw >> np.uint64(11)) * 2.0**-53)

    def below(self, n: int, limit: int) -> npt.NDArray[np.int64]:
        """Return n whole numbers in [0, limit)."""
        return (self.uniform(n) * limit).astype(np.int64)


def zipf_ranks(uniform: npt.NDArray[np.float64], n_objects: int, alpha: float) -> npt.NDArray[np.int64]:
    """Return the rank, from 0, of each draw of a finite Zipf distribution, by its inverse.

    Parameters
    ----------
    uniform : float64[n] in [0, 1)
    n_objects : int
    alpha : float
        Rank r has probability proportional to ``(r + 1) ** -alpha``.
    """
    cumulative = np.cumsum(np.arange(1, n_objects + 1, dtype=np.float64) ** -alpha)
    cumulative /= cumulative[-1]
    # A guide table says between which two ranks a draw falls; bisection closes what is left.
    cells = 1 << n_objects.bit_length()
    guide = np.searchsorted(cumulative, np.arange(cells + 1) / cells, side="right")
    cell = (uniform * cells).astype(np.int64)
    low, high = guide[cell], np.minimum(guide[cell + 1], n_objects - 1)
    wide = np.flatnonzero(low < high)
    while len(wide):
        middle = (low[wide] + high[wide]) // 2
        beyond = cumulative[middle] <= uniform[wide]
        low[wide] = np.where(beyond, middle + 1, low[wide])
        high[wide] = np.where(beyond, high[wide], middle)
        wide = wide[low[wide] < high[wide]]
    return np.asarray(low, dtype=np.int64)


def finish(keys: npt.NDArray[np.int64], sizes: str | None, rate_per_s: float | None, seed: int, dice: Dice) -> Columns:
    """Add sizes and arrival times to a sequence of keys.

    Parameters
    ----------
    keys : int64[n]
    sizes : str or None
        See `object_sizes`.
    rate_per_s : float or None
        Mean rate of a Poisson process that starts at 0.
    seed : int
    dice : Dice
        After all draws for the keys.
    """
    plain = keys.view(np.uint64)
    times = None if rate_per_s is None else arrivals(len(keys), rate_per_s, dice)
    return Columns(plain, None if sizes is None else object_sizes(plain, sizes, seed), times)


def arrivals(n: int, rate_per_s: float, dice: Dice) -> npt.NDArray[np.float64]:
    """Return n times in seconds of a Poisson process that starts at 0."""
    check("rate_per_s", rate_per_s, above=0)
    return np.asarray(np.cumsum(-np.log1p(-dice.uniform(n))) / rate_per_s)


def object_sizes(keys: npt.NDArray[np.uint64], spec: str, seed: int) -> npt.NDArray[np.int64]:
    """Return the bytes of each request's object: a function of object and seed only.

    Parameters
    ----------
    keys : uint64[n]
    spec : str
        ``4KiB`` for all, ``lognormal:mean=32KiB:sigma=1.5``, ``uniform:low=1KiB:high=1MiB``.
    seed : int

    Raises
    ------
    UsageError
        The text is none of these.
    """
    name, *parts = spec.split(":")
    law = name.strip().lower()
    given = dict(part.partition("=")[::2] for part in parts)
    salt = mix64(np.array([seed], dtype=np.uint64) + np.uint64(1))
    first, second = (_hashed(keys ^ mix64(salt + np.uint64(i))) for i in (1, 2))
    if law == "lognormal":
        mean, sigma = _bytes(given.pop("mean", "32KiB"), spec), _real(given.pop("sigma", "1.5"), spec)
        normal = np.sqrt(-2 * np.log1p(-first)) * np.cos(2 * math.pi * second)
        sizes = np.exp(math.log(mean) - sigma * sigma / 2 + sigma * normal)
    elif law == "uniform":
        low, high = _bytes(given.pop("low", "1KiB"), spec), _bytes(given.pop("high", "1MiB"), spec)
        if low > high:
            raise UsageError(f"sizes={spec!r}: low is above high")
        sizes = low + np.floor(first * (high - low + 1))
    elif not parts:
        sizes = np.full(len(keys), _bytes(spec, spec))
    else:
        raise _no_sizes(spec)
    if given:
        raise _no_sizes(spec)
    return np.asarray(np.clip(sizes, 1, MAX_OBJECT_BYTES), dtype=np.int64)


def whole_number(name: str, value: Any, least: int, most: int = 2**31 - 1) -> int:
    """Return `value` as an int, or raise UsageError if it is none from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer)) or value != int(value):
        raise UsageError(f"{name}={value!r} is not a whole number")
    if not least <= value <= most:
        raise UsageError(f"{name}={value!r} must be from {least} to {most:,}")
    return int(value)


def check(name: str, value: float, least: float = 0.0, most: float = math.inf, above: float | None = None) -> None:
    """Raise UsageError unless `value` is from `least` to `most` (and above `above`)."""
    if not least <= value <= most or not math.isfinite(value) or (above is not None and value <= above):
        bound = f"above {above:g}" if above is not None else f"from {least:g} to {most:g}"
        raise UsageError(f"{name}={value!r} must be {bound}")


def _hashed(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Return a number in [0, 1) for each key."""
    return np.asarray((mix64(keys) >> np.uint64(11)) * 2.0**-53)


def _bytes(text: str, spec: str) -> int:
    try:
        size = parse_size(text)
    except UnitError as error:
        raise UsageError(f"sizes={spec!r}: {error}") from None
    if size.kind != "bytes":
        raise _no_sizes(spec)
    return int(size.value)


def _real(text: str, spec: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _no_sizes(spec) from None
    check("sigma", value, most=10)
    return value


def _no_sizes(spec: str) -> UsageError:
    return UsageError(
        f"sizes={spec!r} is none of: 4KiB, lognormal:mean=32KiB:sigma=1.5, uniform:low=1KiB:high=1MiB, none"
    )
