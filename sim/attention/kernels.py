"""The two hot loops of the attention engine, compiled: attention over live slots, and closing the gaps of evicted ones."""

from __future__ import annotations

import math

from ...traces.jit import kernel

__all__ = ["attend", "close_gaps"]


@kernel(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def attend(q, keys, values, first, ids, count, log_mass, read, scale, weights, out, lse):
    """Attend with the queries of each stream over its live slots.

    Parameters
    ----------
    q : float[streams, group, head_dim]
    keys, values : float[all streams, capacity, head_dim]
    first : int
        Where these streams begin among all.
    ids : int32[streams, slots]
        Live slots, the first `count` of each row.
    count : int32[streams]
    log_mass : float[all streams, capacity] or None
        Added to the logit of a slot that stands for several tokens.
    read : bool[streams, group, slots] or None
        Which slots are read; None: all.
    scale : float
    weights : float[streams, group, slots]
        Written: attention weights; 0 where nothing is read.
    out : float[streams, group, head_dim]
        Written: attention output.
    lse : float64[streams, group]
        Written: logarithm of the sum of the exponentials of the logits read.
    """
    group, dim = q.shape[1], q.shape[2]
    for s in range(len(count)):
        row = first + s
        n = count[s]
        for g in range(group):
            largest = -math.inf
            for j in range(n):
                if read is not None:  # noqa: SIM102  (numba prunes it only standing alone)
                    if not read[s, g, j]:
                        continue
                slot = ids[s, j]
                dot = q[s, g, 0] * keys[row, slot, 0]
                for c in range(1, dim):
                    dot += q[s, g, c] * keys[row, slot, c]
                dot *= scale
                if log_mass is not None:
                    dot += log_mass[row, slot]
                weights[s, g, j] = dot
                largest = max(largest, dot)
            total = 0.0
            for j in range(n):
                if read is not None:  # noqa: SIM102  (numba prunes it only standing alone)
                    if not read[s, g, j]:
                        weights[s, g, j] = 0.0
                        continue
                grown = math.exp(weights[s, g, j] - largest)
                weights[s, g, j] = grown
                total += grown
            for j in range(n, weights.shape[2]):
                weights[s, g, j] = 0.0
            lse[s, g] = largest + math.log(total)
            for c in range(dim):
                out[s, g, c] = 0.0
            part = 1.0 / total
            for j in range(n):
                share = weights[s, g, j] * part
                weights[s, g, j] = share
                slot = ids[s, j]
                for c in range(dim):
                    out[s, g, c] += share * values[row, slot, c]


@kernel()
def close_gaps(ids, count, alive, first):
    """Close the gaps that evicted slots left in each row of `ids`, keeping the order, and count again."""
    for s in range(len(count)):
        row = first + s
        kept = 0
        for j in range(count[s]):
            slot = ids[s, j]
            if alive[row, slot]:
                ids[s, kept] = slot
                kept += 1
        for j in range(kept, count[s]):
            ids[s, j] = -1
        count[s] = kept
