"""TinyLFU: turn away who was requested less often, lately, than the object it would replace.

A sketch counts all requests, of residents and of others. The newcomer is compared with the victim of the eviction policy
and enters only when its count is greater. Where several victims must go for a large newcomer it meets one after the other,
and those that it has beaten are gone even when the next one turns it away.

State: the sketch; what is compared are two estimates.
Source: Einziger, Friedman, Manes, "TinyLFU: a highly efficient cache admission policy", ACM Transactions on Storage 13(4),
2017, section 3; without its doorkeeper. Several victims: QV in Einziger, Eytan, Friedman, Manes, "Lightweight robust size
aware cache management", ACM Transactions on Storage 18(3), 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ....traces.errors import UsageError
from ...registry import policy
from ...setting import Setting
from ...sketch import Sketch, add, estimate, make_sketch
from ..compose import Rule, admission

__all__ = ["Tinylfu"]


class State(NamedTuple):
    """`sketch`: how often each object was requested lately."""

    sketch: Sketch


@policy(title="TinyLFU", year=2017, source="https://doi.org/10.1145/3149371", random=True, admission=True)
@dataclass(frozen=True)
class Tinylfu(Rule):
    """Admit who was requested more often than the victim.

    Parameters
    ----------
    sample : int
        Requests per resident object between two halvings of all counts; at least 1.
    """

    sample: int = 10

    def __post_init__(self) -> None:
        if self.sample < 1:
            raise UsageError(f"tinylfu: sample={self.sample} must be at least 1")

    def make_rule(self, setting: Setting) -> State:
        """Return a fresh state of the rule."""
        return State(make_sketch(setting, self.sample))


def _record(rule, obj, now, size):
    add(rule.sketch, obj)


def _welcome(rule, obj, now, size):
    return True


def _prefers(rule, obj, victim, now, size):
    return estimate(rule.sketch, obj) > estimate(rule.sketch, victim)


admission(State, _welcome, _record, _prefers)
