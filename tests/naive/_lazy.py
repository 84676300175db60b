"""A cache that follows a set of objects lazily."""

from __future__ import annotations


class Lazy:
    def __init__(self, capacity):
        self.capacity, self.used = capacity, {}

    def resident(self, obj):
        return obj in self.used

    def serve(self, obj, now, target):
        """Return False when there is room for nobody whom the target does not hold either."""
        if obj not in self.used and len(self.used) == self.capacity:
            unwanted = [other for other in self.used if other not in target]
            if not unwanted:
                return False
            del self.used[min(unwanted, key=self.used.get)]
        self.used[obj] = now
        return True
