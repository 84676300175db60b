"""Size threshold: turn away large objects, each of which would push out many small ones.

Source: LRU-Threshold in Abrams, Standridge, Abdulla, Williams, Fox, "Caching proxies: limitations and potentials", 4th
International World Wide Web Conference, 1995.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...registry import policy
from ...setting import Setting
from ..compose import Rule, admission

__all__ = ["SizeThreshold"]


class State(NamedTuple):
    """`limit`: int64[1], bytes; smaller objects may enter."""

    limit: Any


@policy(title="Size threshold", year=1995, source="https://doi.org/10.1145/3592626.3592635", admission=True)
@dataclass(frozen=True)
class SizeThreshold(Rule):
    """Admit objects smaller than a limit.

    Parameters
    ----------
    limit_bytes : int
        At least 2; an object of this size, or a larger one, does not enter. Without sizes every object counts 1 and enters.
    """

    limit_bytes: int = 1 << 20

    def __post_init__(self) -> None:
        if self.limit_bytes < 2:
            raise UsageError(f"size_threshold: limit_bytes={self.limit_bytes} admits nothing; it must be at least 2")

    def make_rule(self, setting: Setting) -> State:
        """Return a fresh state of the rule."""
        return State(np.array([self.limit_bytes], np.int64))


def _welcome(rule, obj, now, size):
    return size < rule.limit[0]


admission(State, _welcome)
