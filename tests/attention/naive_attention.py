"""Attention over a kept set as a textbook has it: one query, plain loops, float64. The naive twin of engine and meter."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

SINK = 4


def attend(
    query: Sequence[float],
    keys: Sequence[Sequence[float]],
    values: Sequence[Sequence[float]],
    scale: float,
    bias: Sequence[float] | None = None,
) -> tuple[list[float], list[float], float]:
    """Weights, output and log-sum-exp of one query; `bias` is added to the logits."""
    logits = [scale * sum(a * b for a, b in zip(query, key, strict=True)) for key in keys]
    if bias is not None:
        logits = [logit + extra for logit, extra in zip(logits, bias, strict=True)]
    largest = max(logits)
    grown = [math.exp(logit - largest) for logit in logits]
    total = sum(grown)
    weights = [part / total for part in grown]
    out = [sum(weight * value[c] for weight, value in zip(weights, values, strict=True)) for c in range(len(values[0]))]
    return weights, out, largest + math.log(total)


def seen(position: int, window: int | None) -> range:
    """Positions that the query at `position` can see."""
    return range(0 if window is None else max(position - window + 1, 0), position + 1)


def kept(died: Any, stream: int, step: int, position: int, window: int | None) -> list[int]:
    """Positions that a query finds: those that no earlier step threw away."""
    return [i for i in seen(position, window) if died[stream, i] >= step]


def measures(
    layer: Any,
    n_prompt: int,
    scale: float,
    window: int | None,
    wo: Any,
    live: Any,
    top: int,
    heads: Iterable[int],
    step: int,
) -> dict[str, Any]:
    """What the meter must say of one step of one layer.

    Parameters
    ----------
    layer : (q, k, v)
        q of the decoding steps [heads, steps, dim], k and v [kv_heads, tokens, dim].
    live : callable (head) -> list of int
        Positions that the head's query can read.
    """
    q, k, v = layer
    group, position = len(q) // len(k), n_prompt + step
    found: dict[str, Any] = {name: [] for name in ("mass", "mass_beyond_sink", "error", "recall")}
    change, truth = [], []
    for head in heads:
        kv, everyone, mine = head // group, list(seen(position, window)), live(head)
        full, full_out, _ = attend(q[head, step], k[kv, everyone], v[kv, everyone], scale)
        _, out, _ = attend(q[head, step], k[kv, mine], v[kv, mine], scale)
        weight = dict(zip(everyone, full, strict=True))
        mass = sum(weight[i] for i in mine)
        sink = sum(share for i, share in weight.items() if i < SINK)
        largest = sorted(everyone, key=lambda i: -weight[i])[:top]
        away = [a - b for a, b in zip(out, full_out, strict=True)]
        found["mass"].append(mass)
        found["mass_beyond_sink"].append((mass - sum(weight[i] for i in mine if i < SINK)) / (1 - sink))
        found["error"].append(math.hypot(*away) / math.hypot(*full_out))
        found["recall"].append(len(set(largest) & set(mine)) / len(largest))
        change += away
        truth += full_out
    moved, whole = np.array(change) @ wo, np.array(truth) @ wo
    found["projected_error"] = math.hypot(*moved) / math.hypot(*whole)
    found["projected_l1"] = sum(map(abs, moved)) / sum(map(abs, whole))
    return found


def worst(table: Any, low: bool) -> float:
    """Mean over layers and heads of the mean of each one's worst twentieth of steps."""
    steps, layers, heads = table.shape
    taken = max(round(steps / 20), 1)
    means = []
    for layer in range(layers):
        for head in range(heads):
            ordered = sorted(table[:, layer, head], reverse=not low)
            means.append(sum(ordered[:taken]) / taken)
    return sum(means) / len(means)
