"""How far a compressed cache is from the full one, step by step.

Identities behind them (kept set S, full weights a, tau = 1 - sum_S a): with the softmax renormalised over S the mass that is
kept is ``exp(lse_S - lse)``; the output's error is ``tau * |mean of the dropped values - mean of the kept ones|``, each mean
weighted by attention (arXiv 2512.07647); total variation equals tau, and ``tau = 1 - exp(-KL(P_S || P))``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .engine import Attended
from .reference import SINK, Reference
from .slots import Slots

__all__ = ["Meter"]


class Meter:
    """Measures each attended step of a replay against the references of its layers.

    Parameters
    ----------
    references : sequence of Reference
        Of each layer.
    heads : int
    wo : sequence of float[heads * head_dim, d_model] or None
    slots : Slots
        Of the engine.
    rows : int
        Streams of a layer.
    full : callable (int) -> float[heads, steps, tokens]
        Full attention of a layer; asked for only where positions were changed, so that logits no longer tell.

    Attributes
    ----------
    mass : float[steps, layers, heads]
        Share of the full attention that falls on what is read. A slot that stands for several tokens counts with the mass
        that it claims.
    mass_beyond_sink : float[steps, layers, heads]
        The same without the first `SINK` tokens; NaN where the rest has no mass at all.
    error : float[steps, layers, heads]
        Relative L2 error of a head's attention output.
    projected_error : float[steps, layers]
        Relative L2 error after the output projection; NaN where the trace holds none.
    projected_l1 : float[steps, layers]
        The same with sums of absolute values.
    recall : float[steps, layers, heads]
        Share of the query's largest keys that it can read.
    live : int32[steps, layers, rows]
        Slots that a step's queries found.
    """

    def __init__(
        self,
        references: Sequence[Reference],
        heads: int,
        wo: Sequence[npt.NDArray[np.floating] | None],
        slots: Slots,
        rows: int,
        full: Callable[[int], npt.NDArray[np.floating]],
    ) -> None:
        steps, layers = references[0].lse.shape[0], len(references)
        self.heads, self.wo, self.slots, self.rows, self.full = heads, wo, slots, rows, full
        self._projected = [reference.projected for reference in references]
        self._lse = np.stack([reference.lse for reference in references], axis=1)
        self._rest = np.stack([reference.rest for reference in references], axis=1)
        self._out = np.stack([reference.out for reference in references], axis=1)
        self._top = np.stack([reference.top for reference in references], axis=1)
        self._away = np.full(self._out.shape, np.nan, self._out.dtype)  # of the outputs
        self._kept_rest = np.full((steps, layers, heads), np.nan)
        self.mass = np.full((steps, layers, heads), np.nan)
        self.recall = np.full((steps, layers, heads), np.nan)
        self.live = np.zeros((steps, layers, rows), np.int32)

    def __call__(self, seen: Attended) -> None:
        """Measure one step; what can be computed for all steps at once is left for later."""
        first, last = seen.streams.start // self.rows, seen.streams.stop // self.rows
        at, made = (seen.step, slice(first, last)), last - first
        if self.slots.shift[seen.streams].any():
            self.mass[at], self._kept_rest[at] = self._looked_up(seen)
        else:
            lse = seen.lse.reshape(made, self.heads) - self._lse[at]
            mass = np.exp(lse if self.slots.merged else np.minimum(lse, 0.0))
            # Summed over the rest itself: one less the sinks' share would leave the rounding of their large weights.
            rest = np.einsum("sgc,sc->sg", seen.weights, seen.ids >= SINK, dtype=np.float64).reshape(made, self.heads)
            self.mass[at], self._kept_rest[at] = mass, rest * mass
        self._away[at] = seen.out.reshape(made, self.heads, -1) - self._out[at]
        self.recall[at] = self._recall(seen, self._top[at])
        self.live[at] = seen.count.reshape(made, -1)

    @cached_property
    def mass_beyond_sink(self) -> npt.NDArray[np.float64]:
        """See the class."""
        with np.errstate(divide="ignore", invalid="ignore"):
            beyond = np.where(self._rest > 1e-9, self._kept_rest / self._rest, np.nan)
        return np.asarray(beyond if self.slots.merged else np.clip(beyond, 0, 1))

    @cached_property
    def error(self) -> npt.NDArray[np.float64]:
        """See the class."""
        whole = np.maximum(np.linalg.norm(self._out, axis=-1), 1e-30)
        return np.asarray(np.linalg.norm(self._away, axis=-1) / whole, np.float64)

    @property
    def projected_error(self) -> npt.NDArray[np.float64]:
        """See the class."""
        return np.asarray(self._projected_errors[0])

    @property
    def projected_l1(self) -> npt.NDArray[np.float64]:
        """See the class."""
        return np.asarray(self._projected_errors[1])

    @cached_property
    def _projected_errors(self) -> npt.NDArray[np.float64]:
        """L2 and L1: [2, steps, layers]. All steps of a layer in one product: one by one would read its weights each time."""
        steps, layers = self.mass.shape[:2]
        found = np.full((2, steps, layers), np.nan)
        for layer, (wo, truth) in enumerate(zip(self.wo, self._projected, strict=True)):
            if wo is not None and truth is not None:
                change = self._away[:, layer].reshape(steps, -1) @ wo
                found[0, :, layer] = np.linalg.norm(change, axis=-1) / np.maximum(np.linalg.norm(truth, axis=-1), 1e-30)
                found[1, :, layer] = np.abs(change).sum(-1) / np.maximum(np.abs(truth).sum(-1), 1e-30)
        return found

    def _looked_up(self, seen: Attended) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
        """Full attention on the live slots, and on those beyond the first tokens: [layers, heads] each."""
        first, group = seen.streams.start // self.rows, self.heads // self.rows
        made = seen.streams.stop // self.rows - first
        row = np.concatenate([self.full(first + number)[:, seen.step] for number in range(made)])
        live = seen.ids >= 0
        weights = np.take_along_axis(row, np.repeat(np.maximum(seen.ids, 0), group, axis=0), axis=1)
        kept, rest = (
            np.where(np.repeat(which, group, axis=0), weights, 0).sum(1, dtype=np.float64).reshape(made, self.heads)
            for which in (live, seen.ids >= SINK)
        )
        return kept, rest

    def _recall(self, seen: Attended, top: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        group = self.heads // self.rows
        wanted = top.reshape(len(top) * self.rows, group, -1)
        rows = np.arange(seen.streams.start, seen.streams.stop)
        if seen.read is None:
            found = self.slots.alive[rows[:, None, None], np.maximum(wanted, 0)]
        else:
            readable = np.zeros((len(rows), group, self.slots.alive.shape[1]), bool)
            row, member, place = np.nonzero(seen.read.read)
            readable[row, member, seen.ids[row, place]] = True
            found = np.take_along_axis(readable, np.maximum(wanted, 0), axis=-1)
        asked = wanted >= 0
        share = (found & asked).sum(-1) / np.maximum(asked.sum(-1), 1)
        return np.asarray(share.reshape(len(top), self.heads))
