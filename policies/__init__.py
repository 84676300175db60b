"""What to throw away: policies as pure decisions over arrays. See `evictlab.policies.contract`."""

from __future__ import annotations

import importlib
from typing import Any

from .. import traces as _traces  # noqa: F401 - a bare `import policies` from the repository root fails here, loudly

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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
