"""Trust&Doubt over sets and dicts: the model as the paper has it, every clean object's interval counted at every arrival."""

from __future__ import annotations

import numpy as np

from evictlab.policies.random import random_below

from . import blind_oracle
from ._lazy import Lazy

CASES = [
    "trust_doubt@truth",
    "trust_doubt@pleco",
    "trust_doubt@popu",
    "trust_doubt@noisy:p=0.3",
    "trust_doubt@noisy:p=1",
]


class Naive(Lazy):
    def __init__(self, capacity, next_use, seed, **_):
        super().__init__(capacity)
        self.predicted = blind_oracle.Naive(capacity, next_use)
        self.rng = np.random.SeedSequence(seed).generate_state(1, np.uint64)
        self.model, self.last, self.arrived, self.ancient, self.first_phase = set(), {}, [], set(), True
        self.stale, self.unmarked, self.clean = [], set(), {}

    def request(self, obj, size, now):
        self.predicted.request(obj, 1, now)
        self.learn(obj, now)
        self.serve(obj, now, self.model)

    def begin_phase(self):
        self.first_phase = False
        self.ancient = self.model - set(self.arrived)
        self.stale = sorted(self.model - self.ancient, key=self.last.get)
        for i in range(len(self.stale)):
            j = i + int(random_below(self.rng, len(self.stale) - i))
            self.stale[i], self.stale[j] = self.stale[j], self.stale[i]
        self.unmarked, self.clean, self.arrived = set(self.stale), {}, []

    def lru(self, objects):
        return min(objects, key=self.last.get, default=None)

    def choose(self, obj):
        taken = {q["p"] for q in self.clean.values()}
        allowed = (self.unmarked | set(self.arrived)) - set(self.predicted.slots) - taken
        return self.lru(allowed)

    def learn(self, obj, now):
        first = obj not in self.arrived
        if first and len(self.arrived) == self.capacity:
            self.begin_phase()
        self.last[obj] = now
        if first:
            self.arrived.append(obj)
        self.unmarked.discard(obj)
        if self.first_phase or self.ancient:
            self.ancient.discard(obj)
            if obj not in self.model and len(self.model) == self.capacity:
                out = self.lru(self.ancient - set(self.predicted.slots) or self.ancient)
                self.ancient.remove(out)
                self.model.remove(out)
            self.model.add(obj)
            return
        if obj not in self.model:
            self.model.remove(min(self.unmarked & self.model, key=self.stale.index))
            self.model.add(obj)
        if first and obj not in self.stale:
            self.clean[obj] = {"p": self.choose(obj), "trusted": True, "length": 1, "start": len(self.arrived) - 1}
        for q in self.clean.values():
            if q["p"] == obj:
                q |= {"p": self.choose(obj), "trusted": False, "start": len(self.arrived)}
                break
        if first:
            for q in self.clean.values():
                if len(self.arrived) - q["start"] == q["length"]:
                    q["start"] = len(self.arrived)
                    q["length"] *= 1 if q["trusted"] else 2
                    q["trusted"] = True
                    if q["p"] in self.model:
                        out = {other["p"] for other in self.clean.values() if other["trusted"]}
                        self.model.add(max(self.unmarked - self.model - out, key=self.stale.index))
                        self.model.remove(q["p"])
