"""LRFU: every request of a resident is remembered, and all are summed anew whenever room is needed."""

from __future__ import annotations

CASES = ["lrfu", "lrfu:fading=0", "lrfu:fading=0.1", "lrfu:fading=0.5", "lrfu:fading=1"]


class Naive:
    def __init__(self, capacity, fading, **_):
        self.capacity, self.fading, self.size, self.requests = capacity, fading, {}, {}

    def resident(self, obj):
        return obj in self.size

    def worth(self, obj, now):
        return sum(0.5 ** (self.fading * (now - then)) for then in self.requests[obj]), self.requests[obj][-1]

    def request(self, obj, size, now):
        if obj not in self.size:
            while sum(self.size.values()) + size > self.capacity:
                del self.size[min(self.size, key=lambda o: self.worth(o, now))]
            self.size[obj] = size
            self.requests[obj] = []
        self.requests[obj].append(now)
