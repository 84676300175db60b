"""The hash of a key and the sample by objects, in plain integers."""

from __future__ import annotations

MASK = 2**64 - 1


def mix64(x: int) -> int:
    """splitmix64's finaliser."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def hash_key(key: int | str) -> int:
    """64 bits of an integer, or of a string's bytes, eight at a time."""
    if isinstance(key, int):
        return mix64(key)
    data = key.encode()
    h = mix64(len(data) + 1)
    for start in range(0, len(data) // 8 * 8 + 1, 8):
        h = mix64(h ^ int.from_bytes(data[start : start + 8], "little"))
    return h


def in_sample(key: int | str, rate: float, seed: int) -> bool:
    """SHARDS: hash(key) mod 2^24 below a threshold."""
    salt = mix64((seed + 0x9E3779B97F4A7C15) & MASK)
    return mix64(hash_key(key) ^ salt) % 2**24 < round(rate * 2**24)
