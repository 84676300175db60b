"""Perfect LFU: counts of everything ever admitted."""

from __future__ import annotations

from collections import Counter


class Naive:
    def __init__(self, capacity, **_):
        self.capacity, self.size, self.count, self.last = capacity, {}, Counter(), {}

    def resident(self, obj):
        return obj in self.size

    def request(self, obj, size, now):
        while obj not in self.size and sum(self.size.values()) + size > self.capacity:
            del self.size[min(self.size, key=lambda o: (self.count[o], self.last[o]))]
        self.size.setdefault(obj, size)
        self.count[obj] += 1
        self.last[obj] = now
