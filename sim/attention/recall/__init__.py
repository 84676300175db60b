"""A small language model that must look things up, and its task: what an eviction costs in answers, in seconds on a CPU."""

from __future__ import annotations

from ....traces.lazy import lazy_names

_HOME = {
    "CHECKPOINT": "model",
    "Config": "model",
    "Episodes": "task",
    "Prefill": "model",
    "RecallModel": "model",
    "RecallTask": "task",
    "VOCABULARY": "task",
    "accuracy": "model",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy_names(__name__, _HOME)
