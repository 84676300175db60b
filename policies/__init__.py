"""What to throw away: policies as pure decisions over arrays. See `evictlab.policies.contract`."""

from __future__ import annotations

from ..traces.lazy import lazy_names

_HOME = {
    "Policy": "registry",
    "PolicySpec": "registry",
    "Setting": "setting",
    "all_specs": "registry",
    "helper": "contract",
    "kernels": "contract",
    "parse_policy": "registry",
    "policy": "registry",
    "policy_names": "registry",
    "spec_of": "registry",
    "weight": "contract",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy_names(__name__, _HOME)
