"""Miss-ratio curves: exact for LRU, sampled (SHARDS), and in miniature for every policy. See `curve`.

Names are imported when first used; no file of this folder has the name of one of them.
"""

from __future__ import annotations

from ...traces.lazy import lazy_names

_HOME = {
    "Curve": "result",
    "curve": "build",
    "lru_curve": "lru",
    "miniature_curve": "miniature",
    "plot_curves": "plot",
    "shards_curve": "shards",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy_names(__name__, _HOME)
