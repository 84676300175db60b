"""Columns of numbers from the offsets of their texts; what is no number is missing."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...jit import kernel

__all__ = ["fill_integers", "fill_reals", "fill_seconds", "real"]

_DIGITS = 18
"""As many always fit into int64."""

_FULL = 10 ** (_DIGITS - 1)
"""A number from here on takes no further digit."""

_POWERS = 10.0 ** np.arange(23)
"""Exact in float64, so that one division or product rounds once."""


@kernel()
def fill_integers(data: Any, begins: Any, ends: Any, missing: int, out: Any) -> None:
    """``out[i]`` = the decimal number ``data[begins[i]:ends[i]]``; ``512.0`` is one, too.

    Parameters
    ----------
    data : uint8[...]
    begins, ends : int64[n]
    missing : int
        For what is no number, or has more than 18 digits.
    out : int64[n], written
    """
    for i in range(len(out)):
        at, end = begins[i], ends[i]
        negative = at < end and data[at] == 45
        if negative:
            at += 1
        number, digits = 0, 0
        while at < end and 48 <= data[at] <= 57 and digits <= _DIGITS:
            number = number * 10 + data[at] - 48
            digits += 1
            at += 1
        if at < end and data[at] == 46:
            at += 1
            while at < end and data[at] == 48:
                at += 1
        known = at == end and 0 < digits <= _DIGITS
        out[i] = (-number if negative else number) if known else missing


@kernel()
def real(data: Any, at: int, end: int) -> Any:
    """The decimal number ``data[at:end]``, with an exponent if there is one, or NaN; exact to 15 digits."""
    negative = at < end and data[at] == 45
    if negative or (at < end and data[at] == 43):
        at += 1
    number, digits, scale = 0, 0, 0
    fraction = False
    while at < end and (48 <= data[at] <= 57 or (data[at] == 46 and not fraction)):
        if data[at] == 46:
            fraction = True
        else:
            digits += 1
            if number < _FULL:
                number = number * 10 + data[at] - 48
                scale -= fraction
            else:
                scale += not fraction
        at += 1
    if digits == 0:
        return np.nan
    if at < end and (data[at] == 101 or data[at] == 69):
        at += 1
        down = at < end and data[at] == 45
        if down or (at < end and data[at] == 43):
            at += 1
        exponent = 0
        if at == end or end - at > 3:
            return np.nan
        while at < end and 48 <= data[at] <= 57:
            exponent = exponent * 10 + data[at] - 48
            at += 1
        scale += -exponent if down else exponent
    if at < end:
        return np.nan
    value = float(number)
    if scale < -22 or scale > 22:
        value *= 10.0**scale
    elif scale < 0:
        value /= _POWERS[-scale]
    else:
        value *= _POWERS[scale]
    if value == np.inf:
        return np.nan
    return -value if negative else value


@kernel()
def fill_reals(data: Any, begins: Any, ends: Any, out: Any) -> None:
    """``out[i]`` = the number ``data[begins[i]:ends[i]]`` or NaN; `out` is float64[n]."""
    for i in range(len(out)):
        out[i] = real(data, begins[i], ends[i])


@kernel()
def fill_seconds(data: Any, begins: Any, ends: Any, out: Any) -> None:
    """``out[i]`` = the sum of a list such as ``0.001, - : 0.002``, or NaN if it holds no number, or something else.

    NGINX separates servers that were asked one after the other by commas, and internal redirects by colons.
    """
    for i in range(len(out)):
        at, end = begins[i], ends[i]
        total, known = 0.0, False
        while at < end:
            c = data[at]
            if c == 44 or c == 58 or c == 32 or c == 9:
                at += 1
                continue
            begin = at
            while at < end and data[at] != 44 and data[at] != 58 and data[at] != 32 and data[at] != 9:
                at += 1
            if at - begin == 1 and data[begin] == 45:
                continue
            total += real(data, begin, at)
            known = True
        out[i] = total if known else np.nan
