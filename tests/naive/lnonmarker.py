"""LNonMarker: marking with phases by the requests seen; for those thrown away by the clean a victim from the whole cache."""

from __future__ import annotations

from ._marking import Marking

CASES = ["lnonmarker@truth", "lnonmarker@pleco", "lnonmarker@popu", "lnonmarker@noisy:p=0.3"]


class Naive(Marking):
    def __init__(self, capacity, **given):
        super().__init__(capacity, **given)
        self.phase, self.reason = set(), {}

    def request(self, obj, size, now):
        if obj not in self.phase and len(self.phase) == self.capacity:
            self.phase, self.reason = set(), {}
            self.unmarked, self.stale = list(range(self.capacity)), list(self.slots)
        self.phase.add(obj)
        super().request(obj, size, now)

    def victim(self, obj):
        if obj not in self.stale:
            slot = self.due_last(self.unmarked)
        elif self.reason[obj] not in self.stale:
            slot = self.below(self.capacity)
        else:
            slot = self.drawn()
        self.reason[self.slots[slot]] = obj
        return slot
