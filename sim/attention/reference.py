"""What the uncompressed cache does at each decoding step: the truth that a policy's cache is measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .prompts import softmax

__all__ = ["SINK", "Reference", "full_attention", "reference_of"]

SINK = 4
"""First tokens whose mass is reported apart: what models park there hides what policies do to the rest."""

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Reference:
    """Full attention of one layer's decoding queries.

    Attributes
    ----------
    out : float[steps, heads, head_dim]
    lse : float64[steps, heads]
    rest : float64[steps, heads]
        Mass on all but the first `SINK` tokens.
    top : int32[steps, heads, k]
        The keys of largest weight, largest first; -1 where the query sees fewer.
    projected : float[steps, d_model] or None
        Output of the layer's attention block.
    """

    out: Floats
    lse: npt.NDArray[np.float64]
    rest: npt.NDArray[np.float64]
    top: npt.NDArray[np.int32]
    projected: Floats | None


def full_attention(
    q: Floats, k: Floats, first: int, scale: float, window: int | None = None
) -> tuple[Floats, npt.NDArray[np.float64]]:
    """Weights and log-sum-exp of queries at positions ``first, first + 1, ...``.

    Parameters
    ----------
    q : float[heads, queries, head_dim]
    k : float[kv_heads, tokens, head_dim]
    first : int
    scale : float
    window : int, optional
        Keys that a query sees, itself included.

    Returns
    -------
    weights : float[heads, queries, tokens]
    lse : float64[heads, queries]
    """
    heads, queries, dim = q.shape
    kv_heads, tokens, _ = k.shape
    logits = (q.reshape(kv_heads, -1, dim) @ k.swapaxes(1, 2)).reshape(heads, queries, tokens)
    logits *= logits.dtype.type(scale)
    position = np.arange(first, first + queries)[:, None]
    unseen = np.arange(tokens)[None, :] > position
    if window is not None:
        unseen |= np.arange(tokens)[None, :] <= position - window
    logits[:, unseen] = -np.inf
    largest = logits.max(-1)
    weights = softmax(logits)
    # After the softmax the largest weight is exp(largest - lse).
    lse = largest.astype(np.float64) - np.log(weights.max(-1).astype(np.float64))
    return weights, lse


def reference_of(
    q: Floats,
    k: Floats,
    v: Floats,
    first: int,
    scale: float,
    *,
    window: int | None = None,
    wo: Floats | None = None,
    top: int = 16,
) -> Reference:
    """Run full attention of one layer.

    Parameters
    ----------
    q : float[heads, steps, head_dim]
    k, v : float[kv_heads, tokens, head_dim]
    first : int
        Position of the first query.
    scale : float
    window : int, optional
    wo : float[heads * head_dim, d_model], optional
    top : int
        How many of the largest keys to name.
    """
    weights, lse = full_attention(q, k, first, scale, window)
    heads, steps, tokens = weights.shape
    out = (weights.reshape(k.shape[0], -1, tokens) @ v).reshape(heads, steps, -1).swapaxes(0, 1)
    kept = min(top, tokens)
    largest = np.argpartition(weights, tokens - kept, axis=-1)[:, :, tokens - kept :].astype(np.int32)
    values = np.take_along_axis(weights, largest, -1)
    order = np.argsort(-values, axis=-1, kind="stable")
    largest = np.take_along_axis(largest, order, -1)
    largest[np.take_along_axis(values, order, -1) <= 0] = -1
    projected: Any = None if wo is None else out.reshape(steps, -1) @ wo
    return Reference(
        np.ascontiguousarray(out),
        lse.T.copy(),
        weights[:, :, SINK:].sum(-1, dtype=np.float64).T.copy(),
        largest.swapaxes(0, 1),
        projected,
    )
