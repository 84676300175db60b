"""Follow the leader: two counters and a bound."""

from __future__ import annotations

from ._combined import Combined

CASES = [
    "follow_leader+mark0+lru@noisy:p=0.3",
    "follow_leader+mark0:lazy=false+lru@noisy:p=0.5",
    "follow_leader+lru+mru",
    "follow_leader:gamma=0.5+mru+fifo",
    "follow_leader+lnonmarker+marker@noisy:p=0.5",
    "follow_leader+mru+prob+lru",
]


class Naive(Combined):
    def __init__(self, capacity, first, second, n_objects, gamma, **_):
        super().__init__(capacity, first, second, n_objects)
        self.gamma, self.misses, self.bound, self.leader = gamma, [0, 0], 1.0, 0

    def choose(self, missed):
        self.misses = [count + miss for count, miss in zip(self.misses, missed, strict=True)]
        while self.misses[self.leader] > self.bound:
            self.leader = 1 - self.leader
            self.bound *= 1 + self.gamma
        return self.leader
