"""Two twins on every request, and a cache that follows the one that is chosen."""

from __future__ import annotations

from ._lazy import Lazy


class Combined(Lazy):
    def __init__(self, capacity, first, second, n_objects):
        super().__init__(capacity)
        self.both, self.n_objects = [first, second], n_objects

    def request(self, obj, size, now):
        missed = [not twin.resident(obj) for twin in self.both]
        for twin in self.both:
            twin.request(obj, size, now)
        leader = self.both[self.choose(missed)]
        return self.serve(obj, now, [other for other in range(self.n_objects) if leader.resident(other)])
