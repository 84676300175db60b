"""One mixing function, splitmix64's finaliser: equal keys, equal bits, on every machine.

Written so that the same text serves NumPy (arrays) and numba (scalars inside kernels).

Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
OOPSLA 2014, with Stafford's constants (variant 13).
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["mix64"]

_A, _B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)


def mix64(x: Any) -> Any:
    """Spread the bits of `x`: a one-to-one map of uint64 to uint64.

    Parameters
    ----------
    x : uint64 array (or, inside a kernel, a uint64)

    Returns
    -------
    uint64, shaped as `x`
    """
    x = (x ^ (x >> _S30)) * _A
    x = (x ^ (x >> _S27)) * _B
    return x ^ (x >> _S31)
