"""Size threshold: one comparison."""

from __future__ import annotations

CASES = ["size_threshold:limit_bytes=7+lru", "size_threshold:limit_bytes=2+fifo"]


class Naive:
    def __init__(self, capacity, inner, limit_bytes, **_):
        self.inner, self.limit_bytes = inner, limit_bytes

    def resident(self, obj):
        return self.inner.resident(obj)

    def request(self, obj, size, now):
        if not self.resident(obj) and size >= self.limit_bytes:
            return False
        return self.inner.request(obj, size, now)
