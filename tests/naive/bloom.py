"""Second hit: a set of the objects that were missed before."""

from __future__ import annotations

CASES = ["bloom+lru", "bloom+sieve"]


class Naive:
    def __init__(self, capacity, inner, **_):
        self.inner, self.missed = inner, set()

    def resident(self, obj):
        return self.inner.resident(obj)

    def request(self, obj, size, now):
        if not self.resident(obj) and obj not in self.missed:
            self.missed.add(obj)
            return False
        return self.inner.request(obj, size, now)
