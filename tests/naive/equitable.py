"""OnlineMin: layers as a list of sets; while there are fewer than k objects, each has a layer of its own."""

from __future__ import annotations

from ._stream import Stream

CASES = ["equitable", "equitable:support=1", "equitable:support=inf"]


class Naive:
    def __init__(self, capacity, seed, support, **_):
        self.capacity, self.most = capacity, support * capacity
        self.layers, self.cache, self.rank, self.rng = [], set(), {}, Stream(seed)

    def resident(self, obj):
        return obj in self.cache

    def request(self, obj, size, now):
        own = next((i for i, layer in enumerate(self.layers) if obj in layer), None)
        forgets = own is None and len(self.rank) >= self.most
        if obj not in self.cache and len(self.cache) == self.capacity:
            first = own if own is not None else 0 if forgets else self.capacity - 1
            candidates = next(
                among for among, j in ((self.up_to(j), j) for j in range(first, self.capacity)) if len(among) == j + 1
            )
            self.cache.remove(min(candidates, key=self.rank.get))
        self.cache.add(obj)
        if own is None:
            self.rank[obj] = self.rng.unit()
        if len(self.layers) == self.capacity or own is not None:
            joins = own if own is not None else 0 if forgets else self.capacity - 1
            left = self.layers.pop(joins) - {obj}
            if joins > 0:
                self.layers[joins - 1] |= left
            else:
                for fallen in left:
                    del self.rank[fallen]
        self.layers.append({obj})

    def up_to(self, j):
        return self.cache & set().union(*self.layers[: j + 1])
