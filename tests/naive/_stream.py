"""The random numbers of `evictlab.policies.random`, once more, in Python integers."""

from __future__ import annotations

import numpy as np

_WORD = 2**64 - 1


class Stream:
    """SplitMix64: Steele, Lea, Flood, OOPSLA 2014, fig. 13."""

    def __init__(self, seed):
        self.state = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])

    def word(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & _WORD
        x = self.state
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _WORD
        return x ^ (x >> 31)

    def below(self, n):
        return ((self.word() >> 32) * n) >> 32

    def unit(self):
        return (self.word() >> 11) / 2**53
