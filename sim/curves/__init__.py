"""Miss-ratio curves: exact for LRU, sampled (SHARDS), and in miniature for every policy. See `curve`.

Names are imported when first used; no file of this folder has the name of one of them.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "Curve": "result",
    "curve": "build",
    "lru_curve": "lru",
    "miniature_curve": "miniature",
    "plot_curves": "plot",
    "shards_curve": "shards",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
