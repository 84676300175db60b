"""LFU by looking at every resident's (count, last request)."""

from __future__ import annotations


class Naive:
    def __init__(self, capacity, **_):
        self.capacity, self.size, self.rank = capacity, {}, {}

    def resident(self, obj):
        return obj in self.size

    def request(self, obj, size, now):
        if obj in self.size:
            self.rank[obj] = (self.rank[obj][0] + 1, now)
            return
        while sum(self.size.values()) + size > self.capacity:
            victim = min(self.size, key=lambda o: self.rank[o])
            del self.size[victim], self.rank[victim]
        self.size[obj] = size
        self.rank[obj] = (1, now)
