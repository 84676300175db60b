"""The keys most like all others are thrown away: KeyDiff."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....traces.errors import UsageError
from ..context import Layer
from ..needs import Needs
from ..prompt_scorer import PromptScorer
from ..registry import kv_policy

__all__ = ["KeyDiff", "unlikeness"]

Floats = npt.NDArray[np.floating]


@kv_policy(
    title="KeyDiff",
    year=2025,
    source="https://arxiv.org/abs/2504.15364",
    scorer="minus the cosine between the key and the mean direction of keys",
    prompt_only=True,
)
@dataclass(frozen=True)
class KeyDiff(PromptScorer):
    """Keeps keys that differ from the mean direction, without a look at any query.

    Attributes
    ----------
    block : int
        0: the prompt is cut once, at its end. Else it comes in blocks of so many tokens and is cut after each one to the
        budget, as in the paper (128). Keys are those of a pass that saw the whole prompt: a model that evicts between
        blocks would compute others in all layers but the first (kvpress's ``BlockPress`` shares this oracle).
    """

    block: int = 0

    def __post_init__(self) -> None:
        if self.block < 0:
            raise UsageError(f"keydiff: block={self.block} is no number of tokens; give 0 for one cut, or 1 and more")

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(keys=True)

    def score(self, layer: Layer) -> Floats:
        """Return the unlikeness of each key; where the prompt comes in blocks, -inf for what an earlier cut took."""
        keys = layer.keys
        if not self.block:
            return unlikeness(keys)
        budget, n = layer.setting.budget, layer.n
        held = layer.setting.protect.mask(np.arange(n, dtype=np.int32), n - 1, n)
        return np.stack([_by_blocks(of_head, held, min(budget, n), self.block) for of_head in keys])


def unlikeness(keys: Floats) -> Floats:
    """Minus the cosine of each key with the mean of all unit keys of its head; slots that are none (zeros) do not count.

    Parameters
    ----------
    keys : float[heads, n, head_dim]

    Returns
    -------
    float[heads, n]
    """
    unit = keys / np.maximum(np.linalg.norm(keys, axis=-1, keepdims=True), 1e-12).astype(keys.dtype)
    anchor = unit.mean(1, keepdims=True)
    length = np.maximum(np.linalg.norm(anchor, axis=-1), 1e-12).astype(keys.dtype)
    return np.asarray(-(unit * anchor).sum(-1) / length)


def _by_blocks(keys: Floats, held: npt.NDArray[np.bool_], budget: int, block: int) -> Floats:
    """Scores of one head's keys after the last cut."""
    scores = np.full(len(keys), -np.inf, keys.dtype)
    kept = np.arange(budget)
    scores[kept] = unlikeness(keys[None, kept])[0]
    for first in range(budget, len(keys), block):
        here = np.concatenate([kept, np.arange(first, min(first + block, len(keys)))])
        found = unlikeness(keys[None, here])[0]
        # Ascending, so that among equals the older one is in front and leaves.
        order = np.argsort(np.where(held[here], np.inf, found), kind="stable")
        stay = np.sort(order[len(here) - budget :])
        kept = here[stay]
        scores[:] = -np.inf
        scores[kept] = found[stay]
    return scores
