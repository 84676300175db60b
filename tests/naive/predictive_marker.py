"""Predictive Marker: a list of chains, each a list of the objects it threw away."""

from __future__ import annotations

from ._marking import Marking

CASES = [
    "predictive_marker@truth",
    "predictive_marker@pleco",
    "predictive_marker@noisy:p=0.3",
    "predictive_marker:gamma=0.5@noisy:p=1",
    "predictive_marker:gamma=0@popu",
    "predictive_marker:gamma=inf@noisy:p=0.3",
]


class Naive(Marking):
    def __init__(self, capacity, gamma, n_objects, **given):
        super().__init__(capacity, **given)
        places = min(capacity, n_objects)
        self.longest = gamma * sum(1 / i for i in range(1, places + 1))

    def new_phase(self):
        self.chains = []

    def victim(self, obj):
        chain = []
        if obj in self.stale:
            [chain] = [chain for chain in self.chains if chain[-1] == obj]
        else:
            self.chains.append(chain)
        believed = len(chain) + 1 <= self.longest
        slot = self.due_last(self.unmarked) if believed else self.drawn()
        chain.append(self.slots[slot])
        return slot
