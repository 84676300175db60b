"""What it costs: compiled replay, curves, bounds. See `evictlab.sim.runs`."""

from __future__ import annotations

from ..traces.lazy import lazy_names

_HOME = {"Job": "job", "Result": "result", "replay": "runs"}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy_names(__name__, _HOME)
