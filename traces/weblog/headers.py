"""What the headers of a response say about storing it: not at all, or for how long.

``X-Accel-Expires`` comes before ``Cache-Control`` (``s-maxage`` before ``max-age``), and that
before ``Expires``. Set-Cookie and ``Vary: *`` forbid storing in any case. Headers that
``proxy_ignore_headers`` names do not count.

Source: NGINX, ngx_http_proxy_module, proxy_cache_valid; RFC 9111 for what the words mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..readers.base.fields import Words

__all__ = ["HEADERS", "Said", "response_headers"]

HEADERS = ("x-accel-expires", "cache-control", "expires", "set-cookie", "vary")
"""Headers that decide, in lower case."""

_FORBIDS = ("no-store", "private", "no-cache")
_AGE = {name: re.compile(rf'(?:^|[,\s]){name}\s*=\s*"?(\d+)', re.IGNORECASE) for name in ("s-maxage", "max-age")}


class Said(NamedTuple):
    """What headers say, a value per response.

    Attributes
    ----------
    barred : int64[n]
        Why it is not stored: index into `reasons`; 0 is no reason.
    reasons : list of str
    ttl_s : float64[n]
        NaN where no header says.
    dated : bool[n]
        The TTL follows from a date, which was exact when the response came from the origin.
    varies : int
        Responses with a ``Vary``: their variants are counted as one object.
    """

    barred: npt.NDArray[np.int64]
    reasons: list[str]
    ttl_s: npt.NDArray[np.float64]
    dated: npt.NDArray[np.bool_]
    varies: int


def response_headers(headers: dict[str, Words], ended_s: npt.NDArray[np.float64]) -> Said:
    """Judge responses by their headers.

    Parameters
    ----------
    headers : dict of str to Words
        By name in lower case, of `HEADERS`; those that are absent or ignored are left out.
    ended_s : float64[n]
        Unix time of each response.
    """
    n = len(ended_s)
    reasons = [""]
    barred, ttl_s, dated = np.zeros(n, np.int64), np.full(n, np.nan), np.zeros(n, bool)
    open_ = np.ones(n, bool)  # no header has decided yet
    varies = 0

    def bar(which: npt.NDArray[np.bool_], reason: str) -> None:
        which = which & (barred == 0)
        if which.any():
            barred[which] = len(reasons)
            reasons.append(reason)

    if (words := headers.get("set-cookie")) is not None:
        bar(_present(words), "Set-Cookie")
    if (words := headers.get("vary")) is not None:
        varies = int(_present(words).sum())
        bar(_among(words, lambda text: text.strip() == "*"), "Vary: *")
    if (words := headers.get("x-accel-expires")) is not None:
        seconds, stamps = _looked_up(words, _accel_seconds), _looked_up(words, _accel_date)
        known = np.isfinite(seconds) | np.isfinite(stamps)
        ttl_s = np.where(known, np.fmax(seconds, stamps - ended_s), ttl_s)
        dated |= np.isfinite(stamps)
        bar(known & ~(ttl_s > 0), "X-Accel-Expires: 0")
        open_ &= ~known
    if (words := headers.get("cache-control")) is not None:
        for word in _FORBIDS:
            bar(open_ & _among(words, partial(_holds, word)), f"Cache-Control: {word}")
        seconds = _looked_up(words, _age)
        known = open_ & np.isfinite(seconds)
        ttl_s = np.where(known, seconds, ttl_s)
        bar(known & (seconds == 0), "Cache-Control: max-age=0")
        open_ &= ~known
    if (words := headers.get("expires")) is not None:
        left_s = _looked_up(words, _date) - ended_s
        known = open_ & _present(words)
        ttl_s = np.where(known & (left_s > 0), left_s, ttl_s)
        dated |= known
        bar(known & ~(left_s > 0), "Expires in the past")
    return Said(barred, reasons, ttl_s, dated, varies)


def _present(words: Words) -> npt.NDArray[np.bool_]:
    return _among(words, lambda text: text not in ("", "-"))


def _holds(word: str, text: str) -> bool:
    return word in text.lower()


def _among(words: Words, test: Callable[[str], bool]) -> npt.NDArray[np.bool_]:
    found = np.array([test(text) for text in words.texts], bool)
    return np.asarray(found[words.codes])


def _looked_up(words: Words, read: Callable[[str], float]) -> npt.NDArray[np.float64]:
    values = np.array([read(text) for text in words.texts], np.float64)
    return np.asarray(values[words.codes])


def _age(text: str) -> float:
    for pattern in _AGE.values():
        if match := pattern.search(text):
            return float(match[1])
    return np.nan


def _accel_seconds(text: str) -> float:
    return float(text) if text.isdecimal() else np.nan


def _accel_date(text: str) -> float:
    return float(text[1:]) if text.startswith("@") and text[1:].isdecimal() else np.nan


def _date(text: str) -> float:
    """Unix seconds, or -inf for what is no date: NGINX takes that for expired."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return -np.inf
