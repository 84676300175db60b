"""When a request ended, in Unix seconds, from the three ways that access logs write it.

==========================================  ================================
``1431857103.123``, ``1431857103``          ``$msec``
``2015-05-17T10:05:03.250+00:00``, ``...Z``  ``$time_iso8601``
``17/May/2015:10:05:03 +0000``              ``$time_local``
==========================================  ================================

The value itself tells which it is. A date without an offset is no moment, and counts as missing.

Source of the calendar's arithmetic: Howard Hinnant, "chrono-compatible low-level date algorithms", days_from_civil.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...jit import kernel
from . import numbers
from .numbers import real

__all__ = ["fill_stamps"]

_MONTHS = np.frombuffer(b"JanFebMarAprMayJunJulAugSepOctNovDec", np.uint8)
_LENGTHS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


@kernel()
def _digits(data: Any, at: int, n: int) -> Any:
    """The number of `n` digits at `at`, or -1."""
    number = 0
    for j in range(at, at + n):
        if not 48 <= data[j] <= 57:
            return -1
        number = number * 10 + data[j] - 48
    return number


@kernel()
def _month(data: Any, at: int) -> Any:
    """1 .. 12 for the three letters at `at`, or -1."""
    for month in range(12):
        j = 3 * month
        if data[at] == _MONTHS[j] and data[at + 1] == _MONTHS[j + 1] and data[at + 2] == _MONTHS[j + 2]:
            return month + 1
    return -1


@kernel()
def _date_s(year: int, month: int, day: int) -> Any:
    """Unix seconds of a day's start, or -2^62 if there is no such day."""
    if year < 1 or not 1 <= month <= 12 or day < 1:
        return -(1 << 62)
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day > _LENGTHS[month - 1] + leap:
        return -(1 << 62)
    y = year - (month <= 2)
    era = y // 400
    of_era = y - era * 400
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return (era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468) * 86400


@kernel()
def _clock_s(data: Any, at: int) -> Any:
    """Seconds of ``HH:MM:SS`` at `at`, or -2^62; second 60 is one, as clocks with leap seconds show it."""
    hour, minute, second = _digits(data, at, 2), _digits(data, at + 3, 2), _digits(data, at + 6, 2)
    colons = data[at + 2] == 58 and data[at + 5] == 58
    if not (colons and 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second <= 60):
        return -(1 << 62)
    return hour * 3600 + minute * 60 + second


@kernel()
def _offset_s(data: Any, at: int, end: int) -> Any:
    """Seconds of ``+HHMM``, ``+HH:MM`` or ``Z``, or -2^62."""
    n = end - at
    if n == 1 and data[at] == 90:
        return 0
    if not (n == 5 or (n == 6 and data[at + 3] == 58)) or not (data[at] == 43 or data[at] == 45):
        return -(1 << 62)
    hour, minute = _digits(data, at + 1, 2), _digits(data, end - 2, 2)
    if not (0 <= hour < 24 and 0 <= minute < 60):
        return -(1 << 62)
    seconds = hour * 3600 + minute * 60
    return -seconds if data[at] == 45 else seconds


@kernel(made_of=[numbers])
def fill_stamps(data: Any, begins: Any, ends: Any, out: Any) -> Any:
    """``out[i]`` = Unix seconds of ``data[begins[i]:ends[i]]``, or NaN.

    Parameters
    ----------
    data : uint8[...]
    begins, ends : int64[n]
    out : float64[n], written

    Returns
    -------
    bool
        Whether no value was written with a fraction of a second.
    """
    whole = True
    for i in range(len(out)):
        begin, end = begins[i], ends[i]
        n = end - begin
        out[i] = np.nan
        if n == 26 and data[begin + 2] == 47 and data[begin + 6] == 47 and data[begin + 11] == 58:
            date = _date_s(_digits(data, begin + 7, 4), _month(data, begin + 3), _digits(data, begin, 2))
            clock = _clock_s(data, begin + 12)
            offset = _offset_s(data, begin + 21, end) if data[begin + 20] == 32 else -(1 << 62)
            if date > -(1 << 61) and clock >= 0 and offset > -(1 << 61):
                out[i] = date + clock - offset
        elif n >= 20 and data[begin + 4] == 45 and data[begin + 7] == 45:
            date = _date_s(_digits(data, begin, 4), _digits(data, begin + 5, 2), _digits(data, begin + 8, 2))
            clock = _clock_s(data, begin + 11)
            at, fraction = begin + 19, 0.0
            if data[at] == 46:
                at += 1
                while at < end and 48 <= data[at] <= 57:
                    at += 1
                fraction = real(data, begin + 19, at)
            offset = _offset_s(data, at, end)
            between = data[begin + 10] == 84 or data[begin + 10] == 32
            if between and date > -(1 << 61) and clock >= 0 and offset > -(1 << 61):
                out[i] = date + clock - offset + fraction
                whole = whole and at == begin + 19
        else:
            out[i] = real(data, begin, end)
            if not np.isnan(out[i]):
                for at in range(begin, end):
                    whole = whole and data[at] != 46
    return whole
