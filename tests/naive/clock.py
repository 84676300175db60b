"""k-bit CLOCK as FIFO-reinsertion over a list, next victim first."""

from __future__ import annotations

CASES = ["clock", "clock:bits=2", "clock:bits=2:init=1", "clock:bits=3"]


class Naive:
    def __init__(self, capacity, bits, init, **_):
        self.capacity, self.full, self.init = capacity, 2**bits - 1, init
        self.order, self.count, self.size = [], {}, {}

    def resident(self, obj):
        return obj in self.size

    def request(self, obj, size, now):
        if obj in self.size:
            self.count[obj] = min(self.count[obj] + 1, self.full)
            return
        while sum(self.size.values()) + size > self.capacity:
            first = self.order.pop(0)
            if self.count[first]:
                self.count[first] -= 1
                self.order.append(first)
            else:
                del self.size[first]
        self.order.append(obj)
        self.size[obj], self.count[obj] = size, self.init
