"""Start sooner: numba imports all of `scipy.linalg` (0.2 s) only to learn that there is a BLAS."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

__all__ = ["postpone_scipy"]


def postpone_scipy() -> None:
    """Load numba without `scipy.linalg`, which it imports later anyway when a kernel multiplies matrices.

    It asks once, when `numba.np.arraymath` is loaded; for that moment an empty module stands in. To be called in a
    process of our own only, and before other threads run.
    """
    names = ("scipy.linalg", "scipy.linalg.cython_blas")
    if names[0] in sys.modules or importlib.util.find_spec("scipy") is None:
        return
    sys.modules.update({name: ModuleType(name) for name in names})
    try:
        import numba.np.arraymath  # noqa: F401
    finally:
        for name in names:
            del sys.modules[name]
