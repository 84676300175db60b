"""Causal attention summed up: what a recorder stores beside q, k, v, computed again from them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["softmax_sums"]

Floats = npt.NDArray[np.float32]

BLOCK = 256
"""Queries at a time: a block's logits [BLOCK, tokens] stay within a few megabytes."""


def softmax_sums(
    q: Floats,
    k: Floats,
    scale: float,
    *,
    window: int | None = None,
    softcap: float | None = None,
    n_prompt: int | None = None,
) -> tuple[Floats, Floats]:
    """Log-sum-exp of each query, and the attention that each key of the prompt gets from the queries of the prompt.

    Parameters
    ----------
    q : ndarray of float32 [heads, queries, head_dim]
        Of the last positions.
    k : ndarray of float32 [kv_heads, tokens, head_dim]
    scale : float
    window : int, optional
        Keys that a query sees, itself included.
    softcap : float, optional
    n_prompt : int, optional
        All positions if not given.

    Returns
    -------
    lse : ndarray of float32 [heads, queries]
        Natural logarithm.
    columns : ndarray of float32 [heads, n_prompt]
        Softmax weights summed over the given queries that lie in the prompt; over all of
        them only if `q` holds them all.
    """
    heads, queries, _ = q.shape
    kv_heads, tokens, _ = k.shape
    prompt, start, group = tokens if n_prompt is None else n_prompt, tokens - queries, heads // kv_heads
    lse = np.empty((heads, queries), dtype=np.float32)
    columns = np.zeros((heads, prompt), dtype=np.float64)
    keys = np.arange(tokens)
    for first in range(0, queries, BLOCK):
        last = min(first + BLOCK, queries)
        at = np.arange(start + first, start + last)[:, None]
        hidden = keys > at
        if window is not None:
            hidden |= keys <= at - window
        in_prompt = max(0, min(last, prompt - start) - first)
        for head in range(heads):
            logits = q[head, first:last] @ k[head // group].T * np.float32(scale)
            if softcap is not None:
                logits = softcap * np.tanh(logits / softcap)
            logits[hidden] = -np.inf
            top = logits.max(axis=1, keepdims=True)
            weights = np.exp(logits - top)
            total = weights.sum(axis=1, keepdims=True)
            lse[head, first:last] = (top + np.log(total))[:, 0]
            columns[head] += (weights[:in_prompt, :prompt] / total[:in_prompt]).sum(axis=0)
    return lse, columns.astype(np.float32)
