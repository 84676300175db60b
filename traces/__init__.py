"""What happened: trace files, generators and recordings, as columns of requests.

Names are imported when first used: importing this package loads neither numba
nor pandas nor pyarrow. No name here may also be the name of a file of this
folder: once loaded, the file would hide it.
"""

from __future__ import annotations

from .lazy import lazy_names

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
__getattr__, __dir__ = lazy_names(__name__, _HOME)
