"""Second hit: turn away objects that were not missed before; most are never asked for again.

Content delivery networks keep the objects once missed in a Bloom filter. Here objects have dense numbers, so that one
byte each says it exactly: there are no false positives.

Source: Maggs, Sitaraman, "Algorithmic nuggets in content delivery", ACM SIGCOMM Computer Communication Review 45(3), 2015,
section 4. Nothing is forgotten, as in libCacheSim (where the rule has this name too).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...registry import policy
from ...setting import Setting
from ..compose import Rule, admission

__all__ = ["Bloom"]


class State(NamedTuple):
    """`missed`: uint8[n_objects], 1 for objects that were missed before."""

    missed: Any


@policy(title="Second hit (Bloom filter)", year=2015, source="https://doi.org/10.1145/2805789.2805800", admission=True)
@dataclass(frozen=True)
class Bloom(Rule):
    """Admit an object when it is missed for the second time."""

    def make_rule(self, setting: Setting) -> State:
        """Return a fresh state of the rule."""
        return State(np.zeros(setting.n_objects, np.uint8))


def _welcome(rule, obj, now, size):
    known = rule.missed[obj] != 0
    rule.missed[obj] = 1
    return known


admission(State, _welcome)
