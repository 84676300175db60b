"""FtP: follow BlindOracle's twin."""

from __future__ import annotations

from . import blind_oracle
from ._lazy import Lazy

CASES = ["ftp@truth", "ftp@pleco", "ftp@noisy:p=0.3"]


class Naive(Lazy):
    def __init__(self, capacity, next_use, **_):
        super().__init__(capacity)
        self.predicted = blind_oracle.Naive(capacity, next_use)

    def request(self, obj, size, now):
        self.predicted.request(obj, size, now)
        return self.serve(obj, now, self.predicted.slots)
