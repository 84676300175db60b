"""Start sooner: numba imports all of `scipy.linalg` (0.2 s) only to learn that there is a BLAS."""

from __future__ import annotations

import importlib.util
import sys

__all__ = ["postpone_scipy"]


def postpone_scipy() -> None:
    """Load numba without `scipy.linalg`, which it imports later anyway when a kernel multiplies matrices.

    It asks once, when `numba.np.arraymath` is loaded; that question is answered without the import. To be called in a
    process of our own only, and before other threads run.
    """
    if "numba.np.arraymath" in sys.modules or importlib.util.find_spec("scipy") is None:
        return
    from numba.np import linalg

    ask = linalg.ensure_blas
    linalg.ensure_blas = lambda: None
    try:
        from numba.np import arraymath
    finally:
        linalg.ensure_blas = ask
    arraymath.ensure_blas = ask
