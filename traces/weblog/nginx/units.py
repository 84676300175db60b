"""Sizes and times as nginx.conf writes them: ``25m`` is 25 MiB, ``1h30m`` is 5400 s.

Source: nginx.org, "Configuration file measurement units".
"""

from __future__ import annotations

import re

__all__ = ["nginx_bytes", "nginx_seconds"]

_BYTES = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
_SECONDS = {
    "y": 365 * 86400.0,
    "M": 30 * 86400.0,
    "w": 7 * 86400.0,
    "d": 86400.0,
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "": 1.0,
    "ms": 0.001,
}
"""From the largest to the smallest: a time names them in this order, each at most once."""

_PART = re.compile(r"(\d+)(ms|[yMwdhms]?)\s*")


def nginx_bytes(text: str) -> int:
    """Read ``512k``, ``25m``, ``1g`` or a bare number of bytes; upper and lower case are alike.

    Raises
    ------
    ValueError
        It is no size.
    """
    match = re.fullmatch(r"(\d+)([kmg]?)", text.lower())
    if match is None:
        raise ValueError(f"{text!r} is no size, such as 512k, 25m or 1g")
    return int(match[1]) * _BYTES[match[2]]


def nginx_seconds(text: str) -> float:
    """Read ``10m``, ``1h30m``, ``200ms`` or a bare number of seconds.

    Raises
    ------
    ValueError
        It is no time.
    """
    total, at, ranks = 0.0, 0, list(_SECONDS)
    last = -1
    while at < len(text):
        match = _PART.match(text, at)
        rank = ranks.index(match[2]) if match else -1
        if match is None or rank <= last:
            break
        total, last, at = total + int(match[1]) * _SECONDS[match[2]], rank, match.end()
    if not text or at < len(text):
        raise ValueError(f"{text!r} is no time, such as 60, 10m, 1h30m or 200ms")
    return total
