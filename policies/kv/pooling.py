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
    if kernel <= 1 or scores.shape[-1] == 0:
        return scores
    half = kernel // 2
    if how == "avg":
        padded = np.pad(scores, [(0, 0)] * (scores.ndim - 1) + [(half, half)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=-1)
        return np.asarray(windows.sum(-1) / scores.dtype.type(kernel))
    if how == "max":
        padded = np.pad(scores, [(0, 0)] * (scores.ndim - 1) + [(half, half)], constant_values=-np.inf)
        return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=-1).max(-1))
    raise UsageError(f"pooling {how!r} is neither avg nor max")


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
