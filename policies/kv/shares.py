"""How many slots each head of each layer gets: rules that share out one total."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...traces.errors import UsageError
from .context import Prompt
from .cut import top

__all__ = ["POOLS", "at_least", "pooled", "uniform"]

POOLS = ("head", "layer", "global")

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]


def uniform(prompt: Prompt, scores: list[Floats]) -> list[Ints]:
    """The same for every head of every layer."""
    return [np.full(len(of_layer), prompt.setting.budget, np.int64) for of_layer in scores]


def at_least(shares: list[Ints], least: int) -> list[Ints]:
    """Lift every head to `least` slots, one by one at the expense of whichever head has most; the total stays.

    For caches that are cut again while decoding: the end of the prompt, once it has left the newest tokens behind, is protected
    beside them, so that a head may have to hold more slots than at the end of the prompt.
    """
    slots = np.concatenate(shares)
    missing = int(np.maximum(least - slots, 0).sum())
    slots = np.maximum(slots, least)
    for _ in range(missing):
        slots[slots.argmax()] -= 1
    return np.split(slots, np.cumsum([len(of_layer) for of_layer in shares])[:-1])


def pooled(prompt: Prompt, scores: list[Floats], pool: str, forced: int = 0) -> list[Ints]:
    """Share out by one ranking over the keys of all heads of a layer, or of all layers.

    Protected and forced slots are each head's own; what is left of the total goes to the keys of highest score, and each head
    gets as many slots as it has among them.

    Parameters
    ----------
    prompt : Prompt
    scores : list of float[heads, n]
        Of each layer; comparable among those that share.
    pool : {"head", "layer", "global"}
    forced : int
        See `Prompt.held`.

    Returns
    -------
    list of int64[heads]
    """
    if pool not in POOLS:
        raise UsageError(f"pool={pool!r} is none of {', '.join(POOLS)}")
    if pool == "head" or prompt.setting.budget >= prompt.n:
        return uniform(prompt, scores)
    held = prompt.held(forced)
    own, free = int(held.sum()), np.flatnonzero(~held)
    each = prompt.setting.budget - own
    groups = [list(range(len(scores)))] if pool == "global" else [[number] for number in range(len(scores))]
    counts: list[Ints] = [np.zeros(0, np.int64)] * len(scores)
    for members in groups:
        # What slides out of a layer's window leaves anyway: it wins no place.
        seen = [np.where(prompt.layers[number].gone, -np.inf, scores[number]) for number in members]
        rows = np.concatenate([of_layer[:, free] for of_layer in seen])
        kept = top(rows.reshape(1, -1), min(each * len(rows), rows.size)).reshape(rows.shape).sum(1) + own
        for number in members:
            counts[number], kept = kept[: len(scores[number])], kept[len(scores[number]) :]
    return counts
