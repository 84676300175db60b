"""Probabilistic admission: turn away most newcomers at random, so that only those that keep coming get in.

A missed object enters with a fixed probability. An object requested n times while it is out gets in with probability
1 - (1 - p)^n: the popular soon, the one-hit wonder hardly.

Source: q-LRU in Garetto, Leonardi, Martina, "A unified approach to the performance analysis of caching systems", ACM
Transactions on Modeling and Performance Evaluation of Computing Systems 1(3), 2016, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...random import random_unit
from ...registry import policy
from ...setting import Setting
from ..compose import Rule, admission

__all__ = ["Prob"]


class State(NamedTuple):
    """`chance`: float64[1], probability of admission. `rng`: uint64[1]."""

    chance: Any
    rng: Any


@policy(
    title="Probabilistic admission", year=2016, source="https://doi.org/10.1145/2896380", random=True, admission=True
)
@dataclass(frozen=True)
class Prob(Rule):
    """Admit each miss with the same probability.

    Parameters
    ----------
    prob : float
        Above 0, at most 1.
    """

    prob: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.prob <= 1.0:
            raise UsageError(f"prob: prob={self.prob} is no probability of admission; it must be above 0 and at most 1")

    def make_rule(self, setting: Setting) -> State:
        """Return a fresh state of the rule."""
        return State(np.array([self.prob]), setting.random_state())


def _welcome(rule, obj, now, size):
    return random_unit(rule.rng) < rule.chance[0]


admission(State, _welcome)
