"""LMarker: the furthest for who is clean, a random one for who is not."""

from __future__ import annotations

from ._marking import Marking

CASES = ["lmarker@truth", "lmarker@pleco", "lmarker@noisy:p=0.3", "lmarker@popu"]


class Naive(Marking):
    def victim(self, obj):
        return self.drawn() if obj in self.stale else self.due_last(self.unmarked)
