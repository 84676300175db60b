"""Belady's MIN by looking at every resident's next request; of those without, who was requested last goes first."""

from __future__ import annotations

CASES = ["belady", "belady:bypass=true"]


class Naive:
    def __init__(self, capacity, next_use, bypass, **_):
        self.capacity, self.next_use, self.bypass, self.size, self.last = capacity, next_use, bypass, {}, {}

    def resident(self, obj):
        return obj in self.size

    def request(self, obj, size, now):
        while obj not in self.size and sum(self.size.values()) + size > self.capacity:
            furthest = max(self.size, key=lambda o: (self.next_use[self.last[o]], self.last[o]))
            if self.bypass and self.next_use[now] >= self.next_use[self.last[furthest]]:
                return False
            del self.size[furthest]
        self.size.setdefault(obj, size)
        self.last[obj] = now
        return True
