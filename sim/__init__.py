"""What it costs: compiled replay, curves, bounds. See `evictlab.sim.runs`."""

from __future__ import annotations

import importlib
from typing import Any

from .. import traces as _traces  # noqa: F401 - a bare `import sim` from the repository root fails here, loudly

_HOME = {"Job": "job", "Result": "result", "replay": "runs"}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
