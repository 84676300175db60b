"""SIZE by looking at every resident."""

from __future__ import annotations


class Naive:
    def __init__(self, capacity, **_):
        self.capacity, self.size, self.last = capacity, {}, {}

    def resident(self, obj):
        return obj in self.size

    def request(self, obj, size, now):
        while obj not in self.size and sum(self.size.values()) + size > self.capacity:
            del self.size[max(self.size, key=lambda o: (self.size[o], -self.last[o]))]
        self.size.setdefault(obj, size)
        self.last[obj] = now
