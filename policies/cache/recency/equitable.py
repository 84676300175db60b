"""OnlineMin (Equitable): throw away the lowest random rank among those that an optimal player may be without.

The objects that an optimal player may hold now are in layers L_1 .. L_k (see `evictlab.policies.layers`); all others
are in L_0. An object that enters the layers draws a rank, and keeps it as long as it is in any. On a miss with a full
cache C:

- The newcomer is in L_0: the victim is the lowest rank of all.
- It is in L_i: let j >= i be the first for which C has j objects in L_1 .. L_j. The victim is the lowest rank among
  these.

Then the layers move by the request. So the cache is, at every moment, what a simple selection gives: go through the
layers, and keep the j highest ranks of those kept so far and L_j. Its distribution is that of Equitable, which is why
it is as good.

Guarantee (objects of one size, capacity k, H_k: k-th harmonic number): expected misses at most H_k times the optimum's,
and no algorithm has a lower factor; `marker` has 2 H_k - 1. The factor is for the worst case: on traces with locality,
ranks that stay for long make it worse than `marker`, and often than `random`.

State: layers, and a tree over their line of time that adds up residents less borders: where the sum is 0, the cache has
as many objects in the layers so far as it may. O(log k) per request.
Source: Brodal, Moruz, Negoescu, "OnlineMin: a fast strongly competitive randomized paging algorithm", Theory of
Computing Systems 56(1), 2015; Achlioptas, Chrobak, Noga, "Competitive analysis of randomized paging algorithms",
Theoretical Computer Science 234, 2000 (Equitable). The limit on the support: Bein, Larmore, Noga, "Equitable
revisited", ESA 2007; when it is reached and one more comes, L_1 is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...contract import helper, kernels
from ...layers import (
    FIRST,
    NEXT,
    Layers,
    advance,
    border_to_take,
    forgets,
    in_support,
    is_border,
    is_used_up,
    make_layers,
    tidy,
)
from ...random import random_unit
from ...registry import Policy, policy
from ...setting import Setting

__all__ = ["Equitable"]

_SUM, _PEAK = 0, 1


class State(NamedTuple):
    """What OnlineMin remembers.

    The tree is a full binary one: node 1 is the root, node i has the children 2i and 2i + 1, and the leaf of position p of
    the line is node ``leaves + p``. A leaf counts 1 for a resident and -1 for a border.

    Attributes
    ----------
    layers : Layers
    resident : uint8[n_objects]
    rank : float64[n_objects]
        Of objects in the support, 0 to 1; higher = keep.
    sums : int32[2 * leaves, 2]
        By node: the sum of its leaves, and the largest sum of its first leaves, at least one.
    lowest : float64[2 * leaves]
        By node: the lowest rank of its residents, infinite when there is none.
    rng : uint64[1]
    """

    layers: Layers
    resident: Any
    rank: Any
    sums: Any
    lowest: Any
    rng: Any


@policy(title="OnlineMin", year=2015, source="https://doi.org/10.1007/s00224-012-9427-y", sizes=False, random=True)
@dataclass(frozen=True)
class Equitable(Policy):
    """Random ranks within what an optimal player may hold: H_k-competitive.

    Parameters
    ----------
    support : float
        Most objects that the layers remember, in cache sizes; inf: no limit.
    """

    support: float = 3.0

    def __post_init__(self) -> None:
        if not self.support >= 1:
            raise UsageError(f"equitable: support={self.support:g} is less than the cache; give 1 or more, or inf")

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        n = setting.n_objects
        layers = make_layers(n, setting.capacity, int(min(self.support * setting.capacity, n)))
        leaves = 1 << (len(layers.obj) - 1).bit_length()
        return State(
            layers,
            np.zeros(n, np.uint8),
            np.zeros(n),
            np.zeros((2 * leaves, 2), np.int32),
            np.full(2 * leaves, np.inf),
            setting.random_state(),
        )


def _find(state, obj):
    return state.resident[obj] != 0


@helper
def _write_leaf(state, at):
    """Look up what stands at a position, and write its leaf; return the node."""
    node = (len(state.lowest) >> 1) + at
    obj = state.layers.obj[at]
    here = state.layers.at[obj] == at and state.resident[obj] != 0
    value = (1 if here else 0) - (1 if is_border(state.layers, at) else 0)
    state.sums[node, _SUM] = value
    state.sums[node, _PEAK] = value
    state.lowest[node] = state.rank[obj] if here else np.inf
    return node


@helper
def _join(state, node):
    """Bring a node up to date with its children; return whether it changed."""
    left = 2 * node
    total = state.sums[left, _SUM] + state.sums[left + 1, _SUM]
    peak = max(state.sums[left, _PEAK], state.sums[left, _SUM] + state.sums[left + 1, _PEAK])
    lowest = min(state.lowest[left], state.lowest[left + 1])
    same = total == state.sums[node, _SUM] and peak == state.sums[node, _PEAK] and lowest == state.lowest[node]
    if not same:
        state.sums[node, _SUM] = total
        state.sums[node, _PEAK] = peak
        state.lowest[node] = lowest
    return not same


@helper
def _refresh(state, at):
    node = _write_leaf(state, at) >> 1
    while node > 0 and _join(state, node):
        node >>= 1


@helper
def _refresh_both(state, at, other):
    """Refresh two positions between which a resident moves: above where their paths meet, little changes."""
    node, second = _write_leaf(state, at) >> 1, _write_leaf(state, other) >> 1
    while node != second:
        _join(state, node)
        _join(state, second)
        node >>= 1
        second >>= 1
    while node > 0 and _join(state, node):
        node >>= 1


@helper
def _move_up(state, obj):
    """Move the layers by a request for `obj`, which is resident now."""
    layers = state.layers
    if is_used_up(layers):
        tidy(layers)
        used = layers.counts[NEXT]
        leaves = len(state.lowest) >> 1
        for at in range(len(layers.obj)):
            if at < used:
                _write_leaf(state, at)
            else:
                state.sums[leaves + at, _SUM] = 0
                state.sums[leaves + at, _PEAK] = 0
                state.lowest[leaves + at] = np.inf
        for node in range(leaves - 1, 0, -1):
            _join(state, node)
    before = np.int64(layers.at[obj])
    if before < 0:
        state.rank[obj] = random_unit(state.rng)
    border = border_to_take(layers, obj)
    advance(layers, obj, border)
    if before >= 0:
        _refresh_both(state, before, border)
    elif border >= 0:
        _refresh(state, border)
    _refresh(state, layers.counts[NEXT] - 1)


@helper
def _first_full(state, at):
    """Return the first position from `at` on up to which the sum is 0."""
    leaves = len(state.lowest) >> 1
    total = 0
    node = leaves + at
    while node > 1:
        if node & 1:
            total += state.sums[node - 1, _SUM]
        node >>= 1
    node = leaves + at
    while total + state.sums[node, _PEAK] < 0:
        total += state.sums[node, _SUM]
        while node & 1:
            node >>= 1
        node += 1
    while node < leaves:
        node *= 2
        if total + state.sums[node, _PEAK] < 0:
            total += state.sums[node, _SUM]
            node += 1
    return node - leaves


@helper
def _lowest_up_to(state, at):
    """Return the resident with the lowest rank among those that stand no later than `at`."""
    leaves = len(state.lowest) >> 1
    node = leaves + at
    best = node
    while node > 1:
        if node & 1 and state.lowest[node - 1] < state.lowest[best]:
            best = node - 1
        node >>= 1
    while best < leaves:
        best *= 2
        if state.lowest[best + 1] < state.lowest[best]:
            best += 1
    return state.layers.obj[best - leaves]


def _hit(state, obj, now, size):
    _move_up(state, obj)


def _insert(state, obj, now, size):
    state.resident[obj] = 1
    _move_up(state, obj)


@helper
def _choose(state, obj):
    layers = state.layers
    if in_support(layers, obj):
        last = _first_full(state, np.int64(layers.at[obj]))
    elif forgets(layers):
        last = _first_full(state, layers.counts[FIRST])
    else:
        last = layers.counts[NEXT] - 1
    return _lowest_up_to(state, last)


def _peek(state, obj, now, size):
    return _choose(state, obj)


def _evict(state, obj, now, size):
    victim = _choose(state, obj)
    state.resident[victim] = 0
    _refresh(state, np.int64(state.layers.at[victim]))
    return victim


kernels(State, _find, _hit, _insert, _evict, peek=_peek)
