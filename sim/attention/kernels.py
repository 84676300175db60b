"""The two hot loops of the attention engine, compiled: attention over live slots, and closing the gaps of evicted ones."""

from __future__ import annotations

import math

import numpy as np

from ...traces.jit import kernel

__all__ = ["attend", "close_gaps"]

BLOCK = 32
"""Slots that are fetched before they are computed with."""


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
    room, at = np.empty((BLOCK, dim), keys.dtype), np.empty(BLOCK, np.int64)
    for s in range(len(count)):
        row = first + s
        n = count[s]
        for begin in range(0, n, BLOCK):
            rows = min(BLOCK, n - begin)
            near = _near(keys[row], ids[s, begin : begin + rows], room, at)
            for r in range(rows):
                place = at[r]
                for g in range(group):
                    dot = q[s, g, 0] * near[place, 0]
                    for c in range(1, dim):
                        dot += q[s, g, c] * near[place, c]
                    dot *= scale
                    if log_mass is not None:
                        dot += log_mass[row, ids[s, begin + r]]
                    if read is not None:  # noqa: SIM102  (numba prunes it only standing alone)
                        if not read[s, g, begin + r]:
                            dot = -math.inf
                    weights[s, g, begin + r] = dot
        for g in range(group):
            largest = weights[s, g, 0]
            for j in range(1, n):
                largest = max(largest, weights[s, g, j])
            total = 0.0
            for j in range(n):
                grown = math.exp(weights[s, g, j] - largest)
                weights[s, g, j] = grown
                total += grown
            lse[s, g] = largest + math.log(total)
            part = 1.0 / total
            for j in range(n):
                weights[s, g, j] *= part
            for j in range(n, weights.shape[2]):
                weights[s, g, j] = 0.0
            for c in range(dim):
                out[s, g, c] = 0.0
        for begin in range(0, n, BLOCK):
            rows = min(BLOCK, n - begin)
            near = _near(values[row], ids[s, begin : begin + rows], room, at)
            for r in range(rows):
                place = at[r]
                for g in range(group):
                    share = weights[s, g, begin + r]
                    for c in range(dim):
                        out[s, g, c] += share * near[place, c]


@kernel()
def _near(table, ids, room, at):
    """Some rows of `table`, and where each is found in what is returned: in place, or copied to `room` if they lie far apart.

    A cache that has evicted much is full of holes: fetching a block of rows before anything is computed with them keeps more
    loads in flight, and all query heads of the group then find them near.
    """
    rows, start = len(ids), ids[0]
    span = ids[rows - 1] - start + 1
    if 2 * span <= 3 * rows:
        for r in range(rows):
            at[r] = ids[r] - start
        return table[start : start + span]
    for r in range(rows):
        at[r] = r
        slot = ids[r]
        for c in range(room.shape[1]):
            room[r, c] = table[slot, c]
    return room[:rows]


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
