"""Random numbers inside kernels: SplitMix64 over one word of state.

Small, seeded, the same interpreted and compiled. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014, fig. 13 (mixing function), with the constants of its public reference form.
"""

from __future__ import annotations

import warnings

import numpy as np

from .contract import helper

__all__ = ["mix64", "random_below", "random_unit"]

# Interpreted, NumPy warns where 64-bit arithmetic wraps around; here it is meant to.
warnings.filterwarnings("ignore", "overflow encountered", RuntimeWarning, r"evictlab\.policies\.")

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S32, _S11 = (np.uint64(s) for s in (30, 27, 31, 32, 11))


@helper
def mix64(x):
    """Scramble a uint64: a bijection whose output bits all depend on all input bits."""
    x = (x ^ (x >> _S30)) * _MIX1
    x = (x ^ (x >> _S27)) * _MIX2
    return x ^ (x >> _S31)


@helper
def _next(rng):
    rng[0] += _GAMMA
    return mix64(rng[0])


@helper
def random_below(rng, n):
    """Return an integer in 0 .. n-1; `rng` is uint64[1], 0 < n < 2**32. Bias below 2**-32 · n."""
    return np.int64(((_next(rng) >> _S32) * np.uint64(n)) >> _S32)


@helper
def random_unit(rng):
    """Return a float in [0, 1) with 53 random bits; `rng` is uint64[1]."""
    return np.float64(_next(rng) >> _S11) * 1.1102230246251565e-16
