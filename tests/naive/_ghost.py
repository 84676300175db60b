"""A ghost queue as a list of (object, size), oldest first."""

from __future__ import annotations


class Ghost(list):
    def __init__(self, budget):
        super().__init__()
        self.budget = budget

    def pop_if_known(self, obj):
        known = [entry for entry in self if entry[0] == obj]
        for entry in known:
            self.remove(entry)
        return bool(known)

    def add(self, obj, size):
        if size <= self.budget:
            while sum(s for _, s in self) + size > self.budget:
                self.pop(0)
            self.append((obj, size))
