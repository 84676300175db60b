"""Cold-RL: throw away what a trained network values least among a few candidates.

At each eviction `k` objects stand for election, and the network says of each what it is worth to throw it away; the highest
goes. The newcomer is one of them: then it does not stay. What is known of an object outlasts its stay in the cache.

State: the residents with all facts about them, and the network with its weights.
Source: Gupta, Bhayani, "Cold-RL: learning cache eviction with offline reinforcement learning for NGINX", arXiv:2508.12485,
2025. Differs from it: one victim at a time; most candidates are drawn at random and not taken from the tail; facts survive
eviction; the default network is a set network trained as `evictlab rl train` says. `evictlab reproduce cold-rl` compares.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ...contract import kernels
from ...learned.candidates import Candidates, choose, enter, is_resident, leave, make_candidates, miss, touch
from ...learned.model import METADATA, read_metadata, read_weights
from ...learned.network import make_network, value
from ...registry import Policy, policy
from ...setting import Setting

__all__ = ["ColdRl"]

SHIPPED = Path(__file__).parent / "models"
"""Models that come with the package."""


class State(NamedTuple):
    """`cache`: the residents and what is known; `network`: who values them."""

    cache: Candidates
    network: Any


@policy(title="Cold-RL", year=2025, source="https://arxiv.org/abs/2508.12485", cost=True, random=True)
@dataclass(frozen=True)
class ColdRl(Policy):
    """A trained network chooses among a few candidates.

    Parameters
    ----------
    model : str
        Folder of a trained model (``cold_rl:model/``; no colon, plus or at sign in it), or the name of one that comes with the
        package: ``trap``. A folder of that name is written ``./trap``.
    """

    model: str = "trap"

    bare = "model"  # no field: the parameter that may be written without its name

    @property
    def folder(self) -> Path:
        """Where the model lies."""
        shipped = self.model.isidentifier() and (SHIPPED / self.model).is_dir()
        return SHIPPED / self.model if shipped else Path(self.model)

    @property
    def depends_on(self) -> str:
        """Digest of the network that the folder holds now."""
        file = self.folder / METADATA
        return str(json.loads(file.read_text()).get("model_sha256", "")) if file.is_file() else ""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        known = read_metadata(self.folder)
        return State(
            make_candidates(setting, known.k, known.tail),
            make_network(known.network, read_weights(self.folder), known.k),
        )


def _find(state, obj):
    return is_resident(state.cache, obj)


def _hit(state, obj, now, size):
    touch(state.cache, obj, now)


def _admit(state, obj, now, size):
    miss(state.cache, obj, now)
    return True


def _insert(state, obj, now, size):
    enter(state.cache, obj)


def _evict(state, obj, now, size):
    cache = state.cache
    n = choose(cache, obj, now, size, 0)
    value(state.network, cache.rows, cache.context, n)
    q = state.network.q
    best = 0
    for i in range(1, n):
        if q[i] > q[best]:
            best = i
    victim = cache.who[best]
    if is_resident(cache, victim):
        leave(cache, victim)
    return victim


kernels(State, _find, _hit, _insert, _evict, admit=_admit)
