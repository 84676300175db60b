"""LMarker: throw away the unmarked object that is predicted last, but only for a clean newcomer; otherwise draw one.

Marking: a request marks; when room is needed and everybody is marked, all marks are wiped and a phase begins. A
newcomer that was not resident when the phase began is clean: for it the unmarked object goes that is predicted last (of
equals, the one in the highest slot). For any other, which is back after it was thrown away in this phase, the victim is
drawn from the unmarked. So a wrong prediction costs one further miss, not a chain of them.

Guarantee (objects of one size, capacity k, eta: sum of |predicted - true| over all requests): expected misses ``O(1 +
min(log(eta/OPT), log k))`` times the optimum's OPT.

State: see `_marking`.
Source: Rohatgi, "Near-optimal bounds for online caching with machine learned advice", SODA 2020. The rule
for ties: the experiments of Antoniadis, Coester, Eliáš, Polák, Simon, "Online metric algorithms with untrusted
predictions", ICML 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ...contract import kernels
from ...registry import Policy, policy
from ...setting import Setting
from ._marking import Marking, begin_phase_if_due, drawn, due_last, enter, is_stale, leave, make_marking, touch

__all__ = ["LMarker"]


class State(NamedTuple):
    """What LMarker remembers."""

    marking: Marking


@policy(
    title="LMarker",
    year=2020,
    source="https://arxiv.org/abs/1910.12172",
    sizes=False,
    random=True,
    predictions="next_use",
)
@dataclass(frozen=True)
class LMarker(Policy):
    """Predicted times: mark, believe for the clean, draw for who comes back."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        return State(make_marking(setting))


def _find(state, obj):
    return state.marking.slot_of[obj] >= 0


def _hit(state, obj, now, size):
    touch(state.marking, obj, now)


def _insert(state, obj, now, size):
    enter(state.marking, obj, now)


def _evict(state, obj, now, size):
    begin_phase_if_due(state.marking)
    return leave(state.marking, drawn(state.marking) if is_stale(state.marking, obj) else due_last(state.marking))


kernels(State, _find, _hit, _insert, _evict)
