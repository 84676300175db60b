"""Training of the recall model of `evictlab.sim.attention.recall`: about a CPU minute."""

from __future__ import annotations

from ...traces.lazy import lazy_names

_HOME = {"Plan": "plan", "forward": "network", "train_recall": "train"}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy_names(__name__, _HOME)
