"""LFUDA: priority K = count + L, where L is the priority of the last victim."""

from __future__ import annotations


class Naive:
    def __init__(self, capacity, **_):
        self.capacity, self.age, self.size, self.count, self.priority = capacity, 0, {}, {}, {}

    def resident(self, obj):
        return obj in self.size

    def request(self, obj, size, now):
        if obj not in self.size:
            while sum(self.size.values()) + size > self.capacity:
                victim = min(self.size, key=lambda o: self.priority[o])
                self.age = self.priority[victim][0]
                del self.size[victim]
            self.size[obj] = size
            self.count[obj] = 0
        self.count[obj] += 1
        self.priority[obj] = (self.age + self.count[obj], now)
