"""Bytes of objects that have left the cache, for policies whose ghosts count against a budget in bytes.

`Setting.stored` forgets a size when its object leaves. Where sizes are off nothing needs to be kept: then the column is
None, `remember` compiles to nothing, and `weight(kept, obj)` is 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from .contract import KERNEL_OPTIONS
from .setting import Setting

__all__ = ["make_remembered", "remember"]


def make_remembered(setting: Setting) -> Any:
    """Return int64[n_objects], bytes, or None when sizes are off."""
    return None if setting.stored is None else np.zeros(setting.n_objects, np.int64)


def remember(kept, obj, size):
    """Note that the ghost of `obj` counts `size` bytes."""
    if kept is not None:
        kept[obj] = size


@overload(remember, jit_options=KERNEL_OPTIONS)
def _remember(kept, obj, size):
    if isinstance(kept, types.NoneType):
        return lambda kept, obj, size: None

    def write(kept, obj, size):
        kept[obj] = size

    return write
