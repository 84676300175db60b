"""What happened: trace files, generators and recordings, as columns of requests.

Names are imported when first used: importing this package loads neither numba
nor pandas nor pyarrow. No name here may also be the name of a file of this
folder: once loaded, the file would hide it.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "Account": "batch",
    "Batch": "batch",
    "EvictlabError": "errors",
    "FORMATS": "readers",
    "FormatError": "errors",
    "Provenance": "provenance",
    "RequestTrace": "request",
    "Scan": "open",
    "Size": "units",
    "TraceError": "errors",
    "TraceFacts": "describe",
    "UnitError": "errors",
    "UsageError": "errors",
    "format_bytes": "units",
    "format_count": "units",
    "format_duration": "units",
    "open_reader": "readers",
    "open_trace": "open",
    "parse_duration": "units",
    "parse_size": "units",
    "sample_objects": "sample",
    "scan": "open",
    "time_slice": "sample",
    "trace_facts": "describe",
    "train_test": "sample",
    "write_trace": "write",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
