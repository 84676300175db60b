"""MRU as a Python list, newest last."""

from __future__ import annotations


class Naive:
    def __init__(self, capacity, **_):
        self.capacity, self.order, self.size = capacity, [], {}

    def resident(self, obj):
        return obj in self.size

    def request(self, obj, size, now):
        if obj in self.size:
            self.order.remove(obj)
        else:
            while sum(self.size.values()) + size > self.capacity:
                del self.size[self.order.pop()]
            self.size[obj] = size
        self.order.append(obj)
