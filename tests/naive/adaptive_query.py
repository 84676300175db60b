"""AdaptiveQuery: the furthest of b that are drawn, until a chain is deeper than ln k."""

from __future__ import annotations

from math import log

from ._marking import Marking

CASES = [
    "adaptive_query@truth",
    "adaptive_query@pleco",
    "adaptive_query:b=1@popu",
    "adaptive_query:b=3@noisy:p=0.3",
    "adaptive_query:b=20@noisy:p=1",
]


class Naive(Marking):
    def __init__(self, capacity, b, n_objects, **given):
        super().__init__(capacity, **given)
        self.b, self.limit = b, log(min(capacity, n_objects))

    def new_phase(self):
        self.depth = {}

    def victim(self, obj):
        depth = self.depth.get(obj, 0)
        if depth > self.limit:
            slot = self.drawn()
        else:
            asked = min(self.b, len(self.unmarked))
            for at in range(asked):
                other = at + self.below(len(self.unmarked) - at)
                self.unmarked[at], self.unmarked[other] = self.unmarked[other], self.unmarked[at]
            slot = self.due_last(self.unmarked[:asked])
        self.depth[self.slots[slot]] = depth + 1
        return slot
