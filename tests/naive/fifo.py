"""FIFO as a Python list, newest last."""

from __future__ import annotations


class Naive:
    def __init__(self, capacity, **_):
        self.capacity, self.order, self.size = capacity, [], {}

    def resident(self, obj):
        return obj in self.size

    def request(self, obj, size, now):
        if obj not in self.size:
            while sum(self.size.values()) + size > self.capacity:
                del self.size[self.order.pop(0)]
            self.order.append(obj)
            self.size[obj] = size
