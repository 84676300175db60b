"""SIEVE as a Python list, oldest first; the hand is an object."""

from __future__ import annotations


class Naive:
    def __init__(self, capacity, **_):
        self.capacity, self.queue, self.size, self.visited, self.hand = capacity, [], {}, set(), None

    def resident(self, obj):
        return obj in self.size

    def request(self, obj, size, now):
        if obj in self.size:
            self.visited.add(obj)
            return
        while sum(self.size.values()) + size > self.capacity:
            at = 0 if self.hand is None else self.queue.index(self.hand)
            while self.queue[at] in self.visited:
                self.visited.remove(self.queue[at])
                at = (at + 1) % len(self.queue)
            del self.size[self.queue.pop(at)]
            self.hand = self.queue[at] if at < len(self.queue) else None
        self.queue.append(obj)
        self.size[obj] = size
