"""What policies may learn from a prompt: attention of its queries, computed when asked from recorded tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...policies.kv.needs import Needs
from ...policies.kv.setting import Rotary
from ...traces.attention.rotary import rotate
from ...traces.errors import CapabilityError

__all__ = ["LayerPrompt", "projected_norms", "softmax"]

Floats = npt.NDArray[np.floating]

STATISTICS_SKIP = 4
"""First queries of a prompt that are left out of the statistics of queries: those of sinks are unlike all others."""


@dataclass(frozen=True)
class LayerPrompt:
    """One layer's tensors at the end of a prompt of one sequence.

    Attributes
    ----------
    q : float[heads, queries, head_dim]
        Of the last positions of the prompt, rotated.
    k, v : float[kv_heads, prompt, head_dim]
    rotary : Rotary
    scale : float
    columns : float[heads, prompt], optional
        Attention that each key got from all queries; computed if all queries are there.
    wo : float[heads * head_dim, d_model], optional
        Output projection.
    tokens : int32[prompt], optional
    window : int, optional
        Sliding window of the layer.
    """

    q: Floats
    k: Floats
    v: Floats
    rotary: Rotary
    scale: float
    columns: Floats | None = None
    wo: Floats | None = None
    tokens: npt.NDArray[np.int32] | None = None
    window: int | None = None

    @property
    def missing_queries(self) -> int:
        """Queries of the prompt that were not recorded."""
        return int(self.k.shape[1] - self.q.shape[1])

    def missing_for(self, needs: Needs) -> int:
        """Queries that a policy would look at and that were not recorded, nor their sums."""
        lacks_sums = needs.columns and self.columns is None
        prompt = int(self.k.shape[1])
        asked = prompt if lacks_sums or needs.query_statistics else min(needs.window, prompt)
        return max(asked - int(self.q.shape[1]), 0)

    def sources(self) -> dict[str, Callable[..., Any]]:
        """What `evictlab.policies.kv.context.Layer` asks for, by name."""
        return {
            "weights": self.weights,
            "queries": self.queries,
            "columns": self.column_sums,
            "keys": lambda: self.k,
            "values": lambda: self.v,
            "projected_norms": self.projected,
            "query_statistics": self.statistics,
            "tokens": self._tokens,
        }

    def queries(self, window: int) -> Floats:
        """The last queries of the prompt: [heads, window, head_dim].

        Raises
        ------
        CapabilityError
            Fewer were recorded.
        """
        if window > self.q.shape[1]:
            raise CapabilityError(
                f"the policy asks for the last {window} queries of the prompt, and {self.q.shape[1]} were recorded; "
                "use a smaller window, or record more: evictlab trace record attention --prompt-queries all"
            )
        return self.q[:, self.q.shape[1] - window :]

    def weights(self, window: int) -> Floats:
        """Causal attention of the last queries: [heads, window, prompt]."""
        q = self.queries(window)
        heads, _, dim = q.shape
        kv_heads, n, _ = self.k.shape
        grouped = q.reshape(kv_heads, -1, dim)
        logits = (grouped @ self.k.swapaxes(1, 2)).reshape(heads, window, n) * self.k.dtype.type(self.scale)
        position = np.arange(n - window, n)[:, None]
        unseen = np.arange(n)[None, :] > position
        if self.window is not None:
            unseen |= np.arange(n)[None, :] <= position - self.window
        logits[:, unseen] = -np.inf
        return softmax(logits)

    def column_sums(self) -> Floats:
        """Attention that each key got from all queries of the prompt, or from those recorded: [heads, prompt]."""
        if self.columns is not None:
            return self.columns
        total = np.zeros((self.q.shape[0], self.k.shape[1]), np.float64)
        queries = self.q.shape[1]
        for first in range(0, queries, 256):  # a block of rows at a time: all at once would be prompt x prompt per head
            part = self._rows(first, min(first + 256, queries))
            total += part.sum(1, dtype=np.float64)
        return total

    def _rows(self, first: int, last: int) -> Floats:
        """Attention of some recorded queries, numbered from the first: [heads, last - first, prompt]."""
        n = self.k.shape[1] - (self.q.shape[1] - last)
        cut = LayerPrompt(self.q[:, :last], self.k[:, :n], self.v[:, :n], self.rotary, self.scale, window=self.window)
        rows = np.zeros((self.q.shape[0], last - first, self.k.shape[1]), self.k.dtype)
        rows[:, :, :n] = cut.weights(last - first)
        return rows

    def projected(self) -> Floats:
        """L1 norms of projected values: [heads, prompt]."""
        return projected_norms(self.v, self.wo, self.q.shape[0])

    def statistics(self) -> tuple[Floats, Floats]:
        """Mean and covariance of the recorded queries before rotation, without the first four positions."""
        n = self.k.shape[1]
        if self.q.shape[1] < 2:
            raise CapabilityError(
                f"the policy asks for the mean and covariance of the prompt's queries, and {self.q.shape[1]} were recorded; "
                "record more: evictlab trace record attention --prompt-queries all"
            )
        positions = np.arange(n - self.q.shape[1], n)
        kept = positions >= min(STATISTICS_SKIP, n - 1)
        plain = rotate(
            self.q, positions, self.rotary.theta, self.rotary.pairing, self.rotary.dim or None, inverse=True
        )[:, kept]
        mean = plain.mean(1)
        centred = plain - mean[:, None]
        return mean, centred.swapaxes(1, 2) @ centred / max(plain.shape[1], 1)

    def _tokens(self) -> npt.NDArray[np.int32]:
        if self.tokens is None:
            raise CapabilityError("the policy reads token ids, and this run has none")
        return self.tokens


def projected_norms(values: Floats, wo: Floats | None, heads: int) -> Floats:
    """L1 norm of each value after the part of the output projection that belongs to each query head.

    Parameters
    ----------
    values : float[kv_heads, n, head_dim]
    wo : float[heads * head_dim, d_model]
    heads : int

    Returns
    -------
    float[heads, n]

    Raises
    ------
    CapabilityError
        There is no output projection.
    """
    if wo is None:
        raise CapabilityError(
            "the policy weighs values by the output projection, which this trace does not hold; "
            "record it: evictlab trace record attention (without --no-wo)"
        )
    kv_heads, _, dim = values.shape
    group = heads // kv_heads
    parts = wo.reshape(heads, dim, -1)
    return np.stack([np.abs(values[head // group] @ parts[head]).sum(1) for head in range(heads)])


def softmax(logits: Floats) -> Floats:
    """Along the last axis, in place; a row of nothing but -inf becomes 0."""
    largest = logits.max(-1, keepdims=True, initial=-np.inf)
    logits -= np.where(np.isfinite(largest), largest, 0)
    np.exp(logits, out=logits)
    total = logits.sum(-1, keepdims=True)
    logits /= np.where(total > 0, total, 1)
    return logits
