"""SipHash-2-4: a keyed hash of 64 bits. Without the key, hashes of known texts say nothing about those of others.

Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012.
Importing this module imports numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import kernel

__all__ = ["fill_siphashes"]

_FF = np.uint64(0xFF)
_START = np.array([0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573], np.uint64)


@kernel()
def _turned(x: Any, bits: int) -> Any:
    return (x << np.uint64(bits)) | (x >> np.uint64(64 - bits))


@kernel()
def _round(a: Any, b: Any, c: Any, d: Any) -> Any:
    a, c = a + b, c + d
    b, d = _turned(b, 13) ^ a, _turned(d, 16) ^ c
    a = _turned(a, 32) + d
    c = c + b
    b, d = _turned(b, 17) ^ c, _turned(d, 21) ^ a
    return a, b, _turned(c, 32), d


@kernel()
def fill_siphashes(offsets: Any, data: Any, key: Any, out: Any) -> None:
    """``out[i]`` = SipHash-2-4 of ``data[offsets[i]:offsets[i + 1]]``.

    Parameters
    ----------
    offsets : int64[n + 1]
    data : uint8[...]
    key : uint64[2]
    out : uint64[n], written
    """
    for i in range(len(out)):
        a, b, c, d = _START[0] ^ key[0], _START[1] ^ key[1], _START[2] ^ key[0], _START[3] ^ key[1]
        at, end = offsets[i], offsets[i + 1]
        last = np.uint64(end - at) << np.uint64(56)
        while True:
            n = min(end - at, 8)
            word = np.uint64(0)
            for j in range(n):
                word |= np.uint64(data[at + j]) << np.uint64(8 * j)
            if n < 8:
                word |= last
            d ^= word
            a, b, c, d = _round(a, b, c, d)
            a, b, c, d = _round(a, b, c, d)
            a ^= word
            at += 8
            if n < 8:
                break
        c ^= _FF
        for _ in range(4):
            a, b, c, d = _round(a, b, c, d)
        out[i] = a ^ b ^ c ^ d
