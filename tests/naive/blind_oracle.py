"""BlindOracle over a list of slots."""

from __future__ import annotations

CASES = [
    "blind_oracle@truth",
    "blind_oracle@pleco",
    "blind_oracle@noisy:p=0.3",
    "blind_oracle@popu",
    "blind_oracle@last_gap",
]


class Naive:
    def __init__(self, capacity, next_use, **_):
        self.capacity, self.predicted, self.slots, self.due = capacity, next_use, [], []

    def resident(self, obj):
        return obj in self.slots

    def request(self, obj, size, now):
        if obj in self.slots:
            slot = self.slots.index(obj)
        elif len(self.slots) < self.capacity:
            slot = len(self.slots)
            self.slots.append(obj)
            self.due.append(None)
        else:
            slot = self.due.index(max(self.due))
            self.slots[slot] = obj
        self.due[slot] = self.predicted[now]
