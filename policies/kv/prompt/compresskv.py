"""The keys that a layer's retrieval heads attend to least are thrown away, for all heads of the layer: CompressKV."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....traces.errors import UsageError
from ..calibration import Calibration
from ..context import Layer, Prompt
from ..needs import Needs
from ..pooling import pool
from ..prompt_scorer import PromptScorer
from ..registry import Session, kv_policy
from ..setting import Setting
from ..shares import uniform

__all__ = ["CompressKV", "share_by_error"]

SINK = 4
"""First keys that say nothing about what a head looks for."""

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]


@kv_policy(
    title="CompressKV",
    year=2025,
    source="https://arxiv.org/abs/2508.02401",
    scorer="attention of the last queries of the layer's retrieval heads",
    window="8",
    pooling="avg 5",
    gqa="mean over the chosen heads: one set for the layer",
    budget="layers by the error that eviction was measured to make",
    prompt_only=True,
)
@dataclass(frozen=True)
class CompressKV(PromptScorer):
    """Asks only those heads that find things, and shares out by what eviction costs a layer.

    Source: https://github.com/TUDa-HWAI/CompressKV e8af510. Both facts are measured beforehand, on texts with a known
    answer: see `evictlab.sim.attention.calibrate`.

    A simplification of ours, for a model without a calibration: the heads are those whose last queries give most attention
    to keys beyond sink and window of this very prompt, and all layers get the same. A head that reads the text counts as
    one that finds something, which it need not be.

    Attributes
    ----------
    window, kernel : int
    pooling : {"avg", "max"}
    heads : int
        That are asked in each layer.
    floor : int
        Slots that every layer gets before the rest is shared out.
    most : float
        A layer gets at most so many times the mean.
    calibration : str
        File; none: see above.
    """

    window: int = 8
    kernel: int = 5
    pooling: str = "avg"
    heads: int = 4
    floor: int = 32
    most: float = 3.0
    calibration: str = ""

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise UsageError(f"heads={self.heads}: at least one head of a layer is asked")

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(window=self.window)

    @property
    def forced(self) -> int:
        """The window."""
        return self.window

    def make(self, setting: Setting) -> Session:
        """Read the calibration, and return a session.

        Raises
        ------
        FormatError, UsageError
            The file cannot be read, or does not fit the model.
        """
        if not self.calibration:
            return super().make(setting)
        known = Calibration.load(self.calibration).of(setting.indices or tuple(range(setting.layers)))
        wrong = [head for of_layer in known.heads for head in of_layer if not 0 <= head < setting.heads]
        if wrong:
            raise UsageError(f"{self.calibration} names query head {wrong[0]}; a layer has {setting.heads} of them")
        return _Calibrated(**self.parameters(), known=known).make(setting)

    def asked(self, layer: Layer, rows: Floats) -> Ints:
        """Return which query heads are asked: here, by their attention beyond sink and window."""
        read = rows[:, :, SINK:].sum((1, 2))
        return np.asarray(np.argsort(-read, kind="stable")[: self.heads])

    def score(self, layer: Layer) -> Floats:
        """Return the pooled attention of the heads that are asked, the same for all heads of the layer."""
        window = min(self.window, layer.n)
        before = layer.n - window
        rows = layer.weights(window)[:, :, :before]
        scores = np.zeros((layer.kv_heads, layer.n), rows.dtype)
        chosen = rows[self.asked(layer, rows)]
        scores[:, :before] = pool(chosen.sum(1), self.kernel, self.pooling).mean(0)
        return scores


@dataclass(frozen=True)
class _Calibrated(CompressKV):
    """CompressKV together with what its file says."""

    known: Calibration | None = None

    def make(self, setting: Setting) -> Session:
        return PromptScorer.make(self, setting)

    def asked(self, layer: Layer, rows: Floats) -> Ints:
        assert self.known is not None
        return np.array(self.known.heads[layer.index][: self.heads], np.int64)

    def share(self, prompt: Prompt, scores: list[Floats]) -> list[Ints]:
        assert self.known is not None
        budget, held = prompt.setting.budget, int(prompt.held(self.forced).sum())
        if budget >= prompt.n:
            return uniform(prompt, scores)
        least = min(max(self.floor, held), budget)
        most = min(max(int(self.most * budget), budget), prompt.n)
        slots = share_by_error(np.array(self.known.errors), budget, least, most)
        return [np.full(len(of_layer), slots[number]) for number, of_layer in enumerate(scores)]


def share_by_error(errors: npt.NDArray[np.float64], budget: int, least: int, most: int) -> Ints:
    """Slots of each layer: the least, and a part of the rest in proportion to its error.

    Parameters
    ----------
    errors : float64[layers]
    budget : int
        On average.
    least, most : int
        ``least <= budget <= most``. What the limits and rounding leave over goes to the layers of largest error, one each
        until nothing is left.

    Returns
    -------
    int64[layers]
    """
    layers, whole = len(errors), float(errors.sum())
    parts = errors / whole if whole > 0 else np.full(layers, 1 / layers)
    slots = np.minimum(least + (parts * (budget - least) * layers).astype(np.int64), most)
    order = np.argsort(-parts, kind="stable")
    while (left := budget * layers - int(slots.sum())) > 0:
        open_ = order[slots[order] < most]
        slots[open_[:left]] += 1
    return slots
