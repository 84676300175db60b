"""A trace as lines of NGINX's ``combined`` log: for demonstrations, tests, and tools that read nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

import numpy as np

from ..batch import SET, Batch
from ..errors import TraceError

__all__ = ["combined_lines"]

_URI = "/?#[]@!$&'()*+,;=:%~"
"""What stays as it is in a URI, beside letters and digits."""

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def combined_lines(batch: Batch) -> bytes:
    """Write requests as an access log would: whole seconds, status 200, no client address.

    Parameters
    ----------
    batch : Batch
        With times (Unix seconds) and sizes.

    Returns
    -------
    bytes
        A line per request. Keys become paths, as in ``/17``; what a URI may not hold is percent-encoded.

    Raises
    ------
    TraceError
        No times or no sizes, or a time that is no date.
    """
    if batch.times is None or batch.sizes is None:
        lacking = "times" if batch.times is None else "sizes"
        raise TraceError(f"an access log states time and size of each request, but the trace has no {lacking}")
    seconds, second_of = np.unique(np.floor(batch.times).astype(np.int64), return_inverse=True)
    try:
        stamps = [_stamp(second) for second in seconds.tolist()]
    except (ValueError, OverflowError, OSError):
        raise TraceError(f"{batch.times[0]:g} .. {batch.times[-1]:g} s are no times of this era") from None
    methods = ["GET"] * len(batch) if batch.ops is None else ["PUT" if op == SET else "GET" for op in batch.ops]
    rows = zip(second_of.tolist(), methods, batch.keys.tolist(), batch.sizes.tolist(), strict=True)
    return "".join(
        f'- - - [{stamps[second]}] "{method} {_path(key)} HTTP/1.1" 200 {size} "-" "-"\n'
        for second, method, key, size in rows
    ).encode()


def _path(key: int | str) -> str:
    return f"/{quote(str(key), safe=_URI).removeprefix('/')}"


def _stamp(second: int) -> str:
    """The time as ``$time_local`` writes it, whatever the locale."""
    when = datetime.fromtimestamp(second, UTC)
    return f"{when.day:02d}/{_MONTHS[when.month - 1]}/{when.year}:{when:%H:%M:%S} +0000"
