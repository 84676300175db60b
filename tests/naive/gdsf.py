"""GreedyDual-Size with frequency: H = L + requests * cost / size."""

from __future__ import annotations

from . import gds

CASES = ["gdsf", "gdsf:weigh_costs=false"]


class Naive(gds.Naive):
    def __init__(self, capacity, **given):
        super().__init__(capacity, **given)
        self.count = {}

    def value(self, obj, now):
        self.count[obj] = self.count[obj] + 1 if obj in self.h else 1
        return self.count[obj] * super().value(obj, now)
