"""Predictive Marker: throw away the unmarked object that is predicted last, until a chain of mistakes grows too long.

Marking: a request marks; when room is needed and everybody is marked, all marks are wiped and a phase begins. A
newcomer that was not resident when the phase began is clean, and its miss begins a chain. If the victim of a chain is
requested again in the same phase, its miss is the next of that chain. While the chain has no more than ``gamma * H_k``
misses, the unmarked object goes that is predicted last (of equals, the one in the highest slot); after that, the victim
is drawn from the unmarked.

With ``gamma=inf`` nothing is ever drawn: marking that believes every prediction, known from experiments as FtP-marking.

Guarantee (objects of one size, capacity k, H_k: k-th harmonic number, eta: sum of |predicted - true| over all
requests): with gamma = 1, expected misses at most ``min(2 + 2 sqrt(5 eta/OPT), 4 H_k)`` times the optimum's OPT.

State: see `_marking`; by object the length of the chain that threw it away.
Source: Lykouris, Vassilvitskii, "Competitive caching with machine learned advice", ICML 2018.
The rule for ties and FtP-marking: the experiments of Antoniadis, Coester, Eliáš, Polák, Simon, "Online metric
algorithms with untrusted predictions", ICML 2020.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...contract import kernels
from ...registry import Policy, policy
from ...setting import Setting
from ._marking import Marking, begin_phase_if_due, drawn, due_last, enter, is_stale, leave, make_marking, touch

__all__ = ["PredictiveMarker"]


class State(NamedTuple):
    """What Predictive Marker remembers.

    Attributes
    ----------
    marking : Marking
    chain : int32[n_objects]
        Misses in the chain that threw the object away last.
    longest : float64[1]
        So many misses of a chain go by the predictions.
    """

    marking: Marking
    chain: Any
    longest: Any


@policy(
    title="Predictive Marker",
    year=2018,
    source="https://arxiv.org/abs/1802.05399",
    sizes=False,
    random=True,
    predictions="next_use",
)
@dataclass(frozen=True)
class PredictiveMarker(Policy):
    """Predicted times: mark, and believe until a chain of mistakes is too long.

    Parameters
    ----------
    gamma : float
        How long predictions are believed, in H_k misses; inf: always.
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        if not self.gamma >= 0:
            raise UsageError(f"predictive_marker: gamma={self.gamma:g} is no length of chains; give 0 or more, or inf")

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        harmonic = math.fsum(1 / i for i in range(1, setting.max_resident + 1))
        return State(
            make_marking(setting), np.zeros(setting.n_objects, np.int32), np.array([self.gamma * harmonic], np.float64)
        )


def _find(state, obj):
    return state.marking.slot_of[obj] >= 0


def _hit(state, obj, now, size):
    touch(state.marking, obj, now)


def _insert(state, obj, now, size):
    enter(state.marking, obj, now)


def _evict(state, obj, now, size):
    begin_phase_if_due(state.marking)
    # Who is back in the same phase was thrown away in it, as the last of one chain.
    misses = state.chain[obj] + 1 if is_stale(state.marking, obj) else 1
    victim = leave(state.marking, due_last(state.marking) if misses <= state.longest[0] else drawn(state.marking))
    state.chain[victim] = misses
    return victim


kernels(State, _find, _hit, _insert, _evict)
