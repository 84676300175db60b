"""Exact causal attention in torch, in blocks of queries: its output, and what a trace keeps of its weights."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F

__all__ = ["causal_attention", "column_sums", "log_sum_exp"]

BLOCK = 256
"""Queries at a time: the scores of one block are all that is ever held."""


def causal_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, window: int | None = None
) -> torch.Tensor:
    """Let every token read itself and all before it, or the last `window` of them.

    Parameters
    ----------
    q : Tensor [H, T, d]
    k, v : Tensor [Hk, T, d]
    scale : float
    window : int, optional
        Including the token itself.

    Returns
    -------
    Tensor [T, H * d]
    """
    if window is None or window >= k.shape[1]:
        out = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True, scale=scale, enable_gqa=True)[0]
    else:
        blocks = (
            torch.softmax(scores, dim=-1) @ v[:, None, keys]
            for scores, _, keys in _blocks(q, k, scale, window, 0, q.shape[1])
        )
        out = torch.cat([block.flatten(0, 1) for block in blocks], dim=1)
    return out.transpose(0, 1).flatten(1)


def log_sum_exp(
    q: torch.Tensor, k: torch.Tensor, scale: float, window: int | None = None, start: int = 0
) -> torch.Tensor:
    """Natural logarithm of the sum of ``exp(q . k * scale)`` over what the queries from `start` on may read.

    Parameters
    ----------
    q : Tensor [H, T, d]
    k : Tensor [Hk, T, d]

    Returns
    -------
    Tensor [H, T - start]
    """
    blocks = (scores.logsumexp(dim=-1) for scores, _, _ in _blocks(q, k, scale, window, start, q.shape[1]))
    return torch.cat([block.flatten(0, 1) for block in blocks], dim=1)


def column_sums(
    q: torch.Tensor, k: torch.Tensor, scale: float, window: int | None = None, stop: int | None = None
) -> torch.Tensor:
    """Attention that each of the first `stop` tokens receives, summed over the queries of those same tokens.

    Returns
    -------
    Tensor [H, stop]
        Of each query head; a head's sum is `stop`.
    """
    stop = q.shape[1] if stop is None else stop
    sums = q.new_zeros(k.shape[0], q.shape[0] // k.shape[0], stop)
    for scores, _, keys in _blocks(q, k, scale, window, 0, stop):
        sums[:, :, keys] += torch.softmax(scores, dim=-1).sum(dim=-2)
    return sums.flatten(0, 1)


def _blocks(
    q: torch.Tensor, k: torch.Tensor, scale: float, window: int | None, start: int, stop: int
) -> Iterator[tuple[torch.Tensor, slice, slice]]:
    """Scores [Hk, group, queries, keys] of block after block, with -inf where a query may not look, and which they are."""
    grouped = q.reshape(k.shape[0], -1, *q.shape[1:])
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        oldest = 0 if window is None else max(0, first - window + 1)
        queries, keys = slice(first, last), slice(oldest, last)
        scores = grouped[:, :, queries] @ k[:, None, keys].transpose(-1, -2) * scale
        age = torch.arange(first, last)[:, None] - torch.arange(oldest, last)
        hidden = age < 0 if window is None else (age < 0) | (age >= window)
        yield scores.masked_fill(hidden, -torch.inf), queries, keys
