"""The action log of a KV policy carried out on real tensors. See `evictlab.sim.check.gpu.tensors`."""

from __future__ import annotations

from ....traces.lazy import lazy_names

_HOME = {
    "ClosedLoop": "closed_loop",
    "Execution": "tensors",
    "StepTime": "steptime",
    "TraceTensors": "executor",
    "execute": "tensors",
    "fit_step_time": "steptime",
    "run_closed_loop": "closed_loop",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy_names(__name__, _HOME)
