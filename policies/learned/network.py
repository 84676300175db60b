"""Networks that value candidates, compiled: the numbers that onnxruntime gives, inside the replay loop.

Two kinds. The *set* network looks at each candidate with the same weights, and at the mean of all: its answer depends neither
on their order nor on their number. The *flat* one reads all rows side by side, as Cold-RL does.

Both are dueling: ``q_i = v + a_i - mean(a)``, over the candidates that are there. In the set network an advantage is minus a
rate of hits per byte, so that only the rate has to be learnt: ``a_i = -exp(g_i) * density_i``, where the density compares the
mean size of the residents with the size of the candidate.

Sources: Wang et al., "Dueling network architectures for deep reinforcement learning", ICML 2016; Zaheer et al., "Deep sets",
NeurIPS 2017. The flat network has the shape of the Cold-RL authors' public defaults; dropout belongs to training.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from ..contract import KERNEL_OPTIONS, helper
from .facts import N_FEATURES

__all__ = [
    "DENSITY_MOST",
    "EPSILON",
    "G_LEAST",
    "G_MOST",
    "LOG_MOST",
    "SECONDS",
    "SET_CONTEXT",
    "SET_INPUTS",
    "UNIT_BYTES",
    "FlatNetwork",
    "SetNetwork",
    "make_network",
    "value",
]

SECONDS = (0, 3, 4, 6, 8)
"""Features in seconds. They are counted in mean gaps between requests, so that the speed of a trace does not matter."""

UNIT_BYTES = 1024.0
SET_INPUTS = N_FEATURES + 1
"""The set network reads of each candidate: its features, logarithmic and standardised, and the logarithm of its density."""
SET_CONTEXT = 2
"""It reads of the cache: capacity and number of residents, logarithmic and standardised."""
G_LEAST, G_MOST = -12.0, 8.0
"""The logarithm of a rate is cut off there."""
DENSITY_MOST = 256.0
"""A density is at most this and at least one over this."""
LOG_MOST = 11.0
"""So are the logarithms of features: 60,000 mean gaps or requests ahead or ago is as good as never."""
EPSILON = 1e-5
"""Added to variances by layer normalisation."""


class SetNetwork(NamedTuple):
    """Weights, inputs x outputs, and room for what is in between; all float32.

    Attributes
    ----------
    centre, scale : [SET_INPUTS + SET_CONTEXT]
        Inputs are standardised to (x - centre) * scale; a scale of 0 hides one.
    each_w, each_b : [SET_INPUTS, h], [h]
        Of each candidate.
    pool_w, pool_b : [h + SET_CONTEXT, h], [h]
        Of the mean of all, and of the cache.
    again_w, again_b, shared_w : [h, h], [h], [h, h]
        Of each candidate again, and what all say added to it.
    rate_w, rate_b : [h, 1], [1]
    state_w, state_b : [h, 1], [1]
    inputs, hidden : [k, SET_INPUTS], [k, h]
    room : [3, h + SET_CONTEXT]
    q : [k]
    """

    centre: Any
    scale: Any
    each_w: Any
    each_b: Any
    pool_w: Any
    pool_b: Any
    again_w: Any
    again_b: Any
    shared_w: Any
    rate_w: Any
    rate_b: Any
    state_w: Any
    state_b: Any
    inputs: Any
    hidden: Any
    room: Any
    q: Any


class FlatNetwork(NamedTuple):
    """Weights, inputs x outputs, and room for what is in between; all float32.

    Attributes
    ----------
    centre, scale : [N_FEATURES]
        As in `SetNetwork`; a row that is nobody's is all zeros.
    first_w, first_b, first_norm : [k * N_FEATURES, h], [h], [2, h]
        A layer, and the gain and offset of the normalisation after it.
    second_w, second_b, second_norm : [h, h], [h], [2, h]
    state_hidden_w, state_hidden_b, state_norm : [h, m], [m], [2, m]
    state_w, state_b : [m, 1], [1]
    gain_hidden_w, gain_hidden_b, gain_norm : [h, m], [m], [2, m]
    gain_w, gain_b : [m, k], [k]
    inputs : [k * N_FEATURES]
    room : [2, max(h, m, k)]
    q : [k]
    """

    centre: Any
    scale: Any
    first_w: Any
    first_b: Any
    first_norm: Any
    second_w: Any
    second_b: Any
    second_norm: Any
    state_hidden_w: Any
    state_hidden_b: Any
    state_norm: Any
    state_w: Any
    state_b: Any
    gain_hidden_w: Any
    gain_hidden_b: Any
    gain_norm: Any
    gain_w: Any
    gain_b: Any
    inputs: Any
    room: Any
    q: Any


def make_network(kind: str, weights: dict[str, Any], k: int) -> SetNetwork | FlatNetwork:
    """Make a network for up to `k` candidates out of its weights by name."""
    arrays = {name: np.ascontiguousarray(weight, np.float32) for name, weight in weights.items()}
    if kind == "set":
        h = len(arrays["each_b"])
        return SetNetwork(
            **arrays,
            inputs=np.zeros((k, SET_INPUTS), np.float32),
            hidden=np.zeros((k, h), np.float32),
            room=np.zeros((3, h + SET_CONTEXT), np.float32),
            q=np.zeros(k, np.float32),
        )
    widest = max(len(arrays["first_b"]), len(arrays["gain_hidden_b"]), k)
    return FlatNetwork(
        **arrays,
        inputs=np.zeros(k * N_FEATURES, np.float32),
        room=np.zeros((2, widest), np.float32),
        q=np.zeros(k, np.float32),
    )


@helper
def _dense(x, w, b, out):
    for o in range(w.shape[1]):
        out[o] = b[o]
    _add(x, w, out)


@helper
def _add(x, w, out):
    for i in range(w.shape[0]):
        factor = x[i]
        if factor != 0:
            for o in range(w.shape[1]):
                out[o] += factor * w[i, o]


@helper
def _rectify(x, n):
    for i in range(n):
        x[i] = max(x[i], np.float32(0))


@helper
def _normalise(x, norm):
    n = norm.shape[1]
    mean = np.float32(0)
    for i in range(n):
        mean += x[i]
    mean /= np.float32(n)
    variance = np.float32(0)
    for i in range(n):
        variance += (x[i] - mean) * (x[i] - mean)
    inverse = np.float32(1 / math.sqrt(variance / n + 1e-5))
    for i in range(n):
        x[i] = (x[i] - mean) * inverse * norm[0, i] + norm[1, i]


@helper
def _prepare(network, row, pace, out, at):
    """Write the features of a candidate to ``out[at:]``, logarithmic and standardised; what is missing counts as -1."""
    for j in range(N_FEATURES):
        x = row[j]
        if x < 0:
            x = np.float32(-1)
        else:
            if j == 0 or j == 3 or j == 4 or j == 6 or j == 8:
                x = x / pace
            elif j == 1:
                x = x / np.float32(1024)
            x = min(np.float32(np.log1p(x)), np.float32(11))
        out[at + j] = (x - network.centre[j]) * network.scale[j]


@helper
def _pace(context):
    return max(context[0], np.float32(1e-9))


@helper
def _density(context, size):
    mean = context[1] / max(context[2], np.float32(1))
    return min(max(mean / max(size, np.float32(1)), np.float32(1 / 256)), np.float32(256))


@helper
def _value_of_set(network, rows, context, n):
    room, h = network.room, network.hidden.shape[1]
    pace = _pace(context)
    pooled, shared = room[0], room[1]
    for o in range(h):
        pooled[o] = 0
    for i in range(n):
        inputs, hidden = network.inputs[i], network.hidden[i]
        _prepare(network, rows[i], pace, inputs, 0)
        at = N_FEATURES
        inputs[at] = (np.log(_density(context, rows[i, 1])) - network.centre[at]) * network.scale[at]
        _dense(inputs, network.each_w, network.each_b, hidden)
        _rectify(hidden, h)
        for o in range(h):
            pooled[o] += hidden[o]
    for o in range(h):
        pooled[o] /= np.float32(max(n, 1))
    at = SET_INPUTS
    pooled[h] = (np.log1p(context[1] / np.float32(1024)) - network.centre[at]) * network.scale[at]
    pooled[h + 1] = (np.log1p(context[2]) - network.centre[at + 1]) * network.scale[at + 1]
    _dense(pooled, network.pool_w, network.pool_b, shared)
    _rectify(shared, h)
    state = network.state_b[0]
    for o in range(h):
        state += shared[o] * network.state_w[o, 0]
    offset = room[0]
    _dense(shared, network.shared_w, network.again_b, offset)
    last = room[2]
    total = np.float32(0)
    for i in range(n):
        for o in range(h):
            last[o] = offset[o]
        _add(network.hidden[i], network.again_w, last)
        g = network.rate_b[0]
        for o in range(h):
            g += max(last[o], np.float32(0)) * network.rate_w[o, 0]
        g = min(max(g, np.float32(-12)), np.float32(8))
        network.q[i] = -np.exp(g) * _density(context, rows[i, 1])
        total += network.q[i]
    for i in range(n):
        network.q[i] += state - total / np.float32(n)


@helper
def _value_of_flat(network, rows, context, n):
    pace = _pace(context)
    k = len(network.q)
    for i in range(k):
        if i < n:
            _prepare(network, rows[i], pace, network.inputs, i * N_FEATURES)
        else:
            for j in range(N_FEATURES):
                network.inputs[i * N_FEATURES + j] = 0
    a, b = network.room[0], network.room[1]
    _dense(network.inputs, network.first_w, network.first_b, a)
    _normalise(a, network.first_norm)
    _rectify(a, len(network.first_b))
    _dense(a, network.second_w, network.second_b, b)
    _normalise(b, network.second_norm)
    _rectify(b, len(network.second_b))
    _dense(b, network.state_hidden_w, network.state_hidden_b, a)
    _normalise(a, network.state_norm)
    state = network.state_b[0]
    for o in range(len(network.state_hidden_b)):
        state += max(a[o], np.float32(0)) * network.state_w[o, 0]
    _dense(b, network.gain_hidden_w, network.gain_hidden_b, a)
    _normalise(a, network.gain_norm)
    _rectify(a, len(network.gain_hidden_b))
    _dense(a, network.gain_w, network.gain_b, network.q)
    total = np.float32(0)
    for i in range(n):
        total += network.q[i]
    for i in range(n):
        network.q[i] += state - total / np.float32(max(n, 1))


def value(network, rows, context, n):
    """Value the first `n` candidates: ``network.q`` is what it is worth to evict each of them, the highest first.

    Parameters
    ----------
    network : SetNetwork or FlatNetwork
    rows : float32[k, N_FEATURES]
    context : float32[N_CONTEXT]
    n : int
        Entries of ``q`` beyond it mean nothing.
    """
    (_value_of_set if isinstance(network, SetNetwork) else _value_of_flat)(network, rows, context, n)


@overload(value, jit_options=KERNEL_OPTIONS)
def _value(network, rows, context, n):
    return _value_of_set if network.instance_class is SetNetwork else _value_of_flat
