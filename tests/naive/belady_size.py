"""Bélády-Size over all residents; 128 draws from fewer than a dozen leave nobody out."""

from __future__ import annotations

CASES = ["belady_size:samples=0", "belady_size"]


class Naive:
    def __init__(self, capacity, next_use, n_objects, **_):
        self.capacity, self.next_use, self.size, self.awaited = capacity, next_use, {}, {}
        self.never = len(next_use)

    def resident(self, obj):
        return obj in self.size

    def burden(self, obj, now):
        never = self.awaited[obj] == self.never
        return never, 0 if never else self.size[obj] * (self.awaited[obj] - now), -obj

    def request(self, obj, size, now):
        while obj not in self.size and sum(self.size.values()) + size > self.capacity:
            if self.next_use[now] == self.never:
                return False
            del self.size[max(self.size, key=lambda o: self.burden(o, now))]
        self.size.setdefault(obj, size)
        self.awaited[obj] = self.next_use[now]
        return True
