"""SLRU as a list of lists, lowest segment first, newest last."""

from __future__ import annotations

CASES = ["slru", "slru:protected=0.5", "slru:segments=4:protected=0.75", "slru:segments=4:protected=0.75:spill=true"]


class Naive:
    def __init__(self, capacity, segments, protected, spill, **_):
        self.capacity, self.spill, self.size = capacity, spill, {}
        upper = int(capacity * protected / (segments - 1))
        self.share = [capacity - upper * (segments - 1)] + [upper] * (segments - 1)
        self.lists = [[] for _ in range(segments)]

    def resident(self, obj):
        return obj in self.size

    def held(self, at):
        return sum(self.size[obj] for obj in self.lists[at])

    def request(self, obj, size, now):
        if obj in self.size:
            at = next(i for i, members in enumerate(self.lists) if obj in members)
            self.lists[at].remove(obj)
            at = min(at + 1, len(self.lists) - 1)
            self.lists[at].append(obj)
            for i in range(at, 0, -1):
                while self.held(i) > self.share[i]:
                    self.lists[i - 1].append(self.lists[i].pop(0))
            return
        while sum(self.size.values()) + size > self.capacity:
            lowest = next(members for members in self.lists if members)
            del self.size[lowest.pop(0)]
        room = [i for i in range(len(self.lists)) if self.held(i) + size <= self.share[i]]
        self.lists[room[0] if self.spill and room else 0].append(obj)
        self.size[obj] = size
