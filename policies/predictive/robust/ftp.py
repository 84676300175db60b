"""Follow the prediction (FtP): throw away what the predicted cache does not hold, but not before room is needed.

The prediction is a whole cache per request. Where times are predicted, the predicted cache is that of `blind_oracle`, simulated
on them. On a miss the victim is, among the residents that the predicted cache does not hold after this request, the one whose
last request is the longest ago.

Guarantee (eta: sum over time of the objects by which predicted cache and an offline algorithm OFF differ): misses at most
``1 + 2 eta/OFF`` times OFF's. Not robust; `robust_ftp` and `trust_doubt` are.

With times for predictions it holds what `blind_oracle` holds, at every moment: the predicted cache is itself one that evicts
on its own misses only, so the two start equal and never part. It is here because papers list it, and as a check of what the
others are built from.

Source: Antoniadis, Coester, Eliáš, Polák, Simon, "Online metric algorithms with untrusted predictions", ICML 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ...contract import helper, kernels
from ...registry import Policy, policy
from ...setting import Setting
from ...shadow import Recent, Shadow, make_recent, make_shadow, step, touch
from ..arrivals.blind_oracle import BlindOracle
from ._lazy import evict_lazily, find_in_cache, insert_in_cache

__all__ = ["Ftp"]


class State(NamedTuple):
    """What FtP remembers.

    Attributes
    ----------
    predicted : Shadow
        The predicted cache.
    cache : Recent
        The residents; subset 0: those whom the predicted cache does not hold.
    """

    predicted: Shadow
    cache: Recent


@policy(
    title="FtP",
    year=2020,
    source="https://proceedings.mlr.press/v119/antoniadis20a.html",
    sizes=False,
    predictions="next_use",
)
@dataclass(frozen=True)
class Ftp(Policy):
    """Follow the predicted cache lazily."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        return State(make_shadow(BlindOracle(), setting), make_recent(setting.n_objects, setting.max_resident))


@helper
def _predict(state, obj, now):
    step(state.predicted, obj, now, state.cache, 0)


def _hit(state, obj, now, size):
    _predict(state, obj, now)
    touch(state.cache, obj)  # the predicted cache holds it


def _admit(state, obj, now, size):
    _predict(state, obj, now)
    return True


kernels(State, find_in_cache, _hit, insert_in_cache, evict_lazily, admit=_admit)
