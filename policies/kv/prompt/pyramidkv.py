"""The keys that the last queries attend to least are thrown away, more of them the higher the layer: PyramidKV."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....traces.errors import UsageError
from ..context import Layer, Prompt
from ..needs import Needs
from ..pooling import reduce_heads
from ..prompt_scorer import PromptScorer
from ..registry import kv_policy
from .snapkv import window_scores

__all__ = ["PyramidKV", "ramp"]

VARIANTS = ("official", "kvpress")

Ints = npt.NDArray[np.int64]


@kv_policy(
    title="PyramidKV",
    year=2024,
    source="https://arxiv.org/abs/2406.02069",
    scorer="attention of the last queries, as SnapKV",
    window="32 (run scripts of the authors: 8)",
    pooling="avg 5 (run scripts of the authors: max 7)",
    gqa="mean after pooling, as kvpress (none: the authors' code)",
    budget="falls from layer to layer in equal steps",
    prompt_only=True,
)
@dataclass(frozen=True)
class PyramidKV(PromptScorer):
    """Keeps what the window attends to, most of it in the first layers.

    Source of the ramp: https://github.com/Zefan-Cai/KVCache-Factory c97f9d7, ``pyramidkv_utils.py``. That code rounds the
    step between layers down, and so keeps up to (layers - 1) / 2 slots per layer more than its budget; here the step is
    not rounded, and the sum is the budget. The window defaults to SnapKV's, so that the two differ in their shares alone:
    a window of 8 leaves a head more slots to choose than one of 32. The ramp runs over the layers that are replayed.

    Attributes
    ----------
    window, kernel, pooling, gqa
        See `evictlab.policies.kv.prompt.snapkv.SnapKV`.
    beta : int
        The last layer gets 1 / beta of the mean, as far as the text is long enough.
    variant : {"official", "kvpress"}
        kvpress ramps over all slots and does not add the window to each layer: the last layers can be left with it alone.
    """

    window: int = 32
    kernel: int = 5
    pooling: str = "avg"
    gqa: str = "mean"
    beta: int = 20
    variant: str = "official"

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(window=self.window)

    @property
    def forced(self) -> int:
        """The window."""
        return self.window

    def score(self, layer: Layer) -> npt.NDArray[np.floating]:
        """Return the pooled attention of the window."""
        return reduce_heads(window_scores(layer, self.window, self.kernel, self.pooling), layer.kv_heads, self.gqa)

    def share(self, prompt: Prompt, scores: list[npt.NDArray[np.floating]]) -> list[Ints]:
        """Return slots by the ramp; all heads of a layer get the same."""
        held = int(prompt.held(self.forced).sum())
        slots = ramp(prompt.setting.budget, held, prompt.n, len(scores), self.beta, self.variant)
        return [np.full(len(of_layer), slots[number]) for number, of_layer in enumerate(scores)]


def ramp(budget: int, held: int, n: int, layers: int, beta: int, variant: str = "official") -> Ints:
    """Slots of each layer's heads, falling in equal steps; their mean is the budget.

    Parameters
    ----------
    budget : int
        Slots on average.
    held : int
        Slots of each head that stay anyway: the window, and what is protected.
    n : int
        Keys.
    layers : int
    beta : int
    variant : {"official", "kvpress"}

    Returns
    -------
    int64[layers]

    Raises
    ------
    UsageError
        Another variant, or a beta below 1.
    """
    if variant not in VARIANTS:
        raise UsageError(f"variant={variant!r} is none of {', '.join(VARIANTS)}")
    if beta < 1:
        raise UsageError(f"beta={beta}: the last layer's share is 1 / beta of the mean, so beta is at least 1")
    if layers == 1 or budget >= n:
        return np.full(layers, budget, np.int64)
    return (
        _official(budget, held, n, layers, beta) if variant == "official" else _kvpress(budget, held, n, layers, beta)
    )


def _official(budget: int, held: int, n: int, layers: int, beta: int) -> Ints:
    free = budget - held
    if n < 2 * free:  # the code's own rule for short texts
        return np.full(layers, budget, np.int64)
    least = free // beta
    most = min(2 * free - least, n - held)
    least = 2 * free - most
    steps = layers - 1
    whole, part = np.divmod(most * steps - np.arange(layers) * (most - least), steps)
    # Whole slots, and what is left over to the layers whose share was cut most.
    whole[np.argsort(-part, kind="stable")[: free * layers - int(whole.sum())]] += 1
    return np.asarray(whole + held, np.int64)


def _kvpress(budget: int, held: int, n: int, layers: int, beta: int) -> Ints:
    least = budget / beta
    most = 2 * budget - least
    if most >= n - held:
        most = n - held
        least = 2 * budget - most
    if not n >= most >= least >= held:
        return np.full(layers, budget, np.int64)
    return np.array([round(most - number * ((most - least) / (layers - 1))) for number in range(layers)], np.int64)
