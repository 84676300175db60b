"""LRU-K by the definition: the victim has the largest backward K-distance."""

from __future__ import annotations

from math import inf

CASES = ["lruk", "lruk:k=1", "lruk:k=3", "lruk:retained=6", "lruk:k=3:retained=10"]


class Naive:
    def __init__(self, capacity, k, retained, **_):
        self.capacity, self.k, self.retained = capacity, k, retained or inf
        self.times, self.size = {}, {}

    def resident(self, obj):
        return obj in self.size

    def request(self, obj, size, now):
        if obj not in self.size:
            while sum(self.size.values()) + size > self.capacity:
                del self.size[max(self.size, key=lambda o: (self.distance(o, now), now - self.times[o][-1]))]
            if now - self.times.get(obj, [now])[-1] > self.retained:
                del self.times[obj]
            self.size[obj] = size
        self.times.setdefault(obj, []).append(now)

    def distance(self, obj, now):
        return now - self.times[obj][-self.k] if len(self.times[obj]) >= self.k else inf
