"""Pooling over neighbouring keys and reduction over query heads: where policies of one name differ."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...traces.errors import UsageError

__all__ = ["pool", "reduce_heads"]

Floats = npt.NDArray[np.floating]


def pool(scores: Floats, kernel: int, how: str) -> Floats:
    """Smooth along the last axis with a centred window of `kernel` keys; beyond the ends are zeros.

    Parameters
    ----------
    scores : float[..., keys]
    kernel : int
        Odd; 1 leaves the scores as they are.
    how : {"avg", "max"}
        An average counts the zeros beyond the ends (as torch's ``avg_pool1d`` does); a maximum ignores them.
    """
    if how not in ("avg", "max"):
        raise UsageError(f"pooling {how!r} is neither avg nor max")
    if kernel < 1:
        raise UsageError(f"kernel={kernel} pools nothing: give an odd number, 1 for no pooling")
    if kernel == 1 or scores.shape[-1] == 0:
        return scores
    half = kernel // 2
    if kernel % 2 == 0:
        raise UsageError(f"kernel={kernel} has no key in its middle: give an odd number, {kernel - 1} or {kernel + 1}")
    keys = scores.shape[-1]
    ends = [(0, 0)] * (scores.ndim - 1) + [(half, half)]
    padded = np.pad(scores, ends, constant_values=0 if how == "avg" else -np.inf)
    # One neighbour after the other: several times faster than a reduction over a view of windows.
    pooled = padded[..., :keys].copy()
    for shift in range(1, kernel):
        part = padded[..., shift : shift + keys]
        pooled = np.add(pooled, part, out=pooled) if how == "avg" else np.maximum(pooled, part, out=pooled)
    return np.asarray(pooled / scores.dtype.type(kernel) if how == "avg" else pooled)


def reduce_heads(values: Floats, kv_heads: int, how: str) -> Floats:
    """Reduce query heads to the heads that own a set of slots.

    Parameters
    ----------
    values : float[heads, ...]
    kv_heads : int
    how : {"mean", "max", "sum", "none"}
        Over the query heads that share a KV head; ``"none"``: each query head has a set of its own.
    """
    if how == "none":
        return values
    grouped = values.reshape(kv_heads, -1, *values.shape[1:])
    if how == "mean":
        return np.asarray(grouped.mean(1))
    if how == "max":
        return np.asarray(grouped.max(1))
    if how == "sum":
        return np.asarray(grouped.sum(1))
    raise UsageError(f"gqa={how!r} is none of mean, max, sum and none")
