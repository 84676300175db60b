"""How far a compressed cache is from the full one, step by step.

Identities behind them (kept set S, full weights a, tau = 1 - sum_S a): with the softmax renormalised over S the mass that is
kept is ``exp(lse_S - lse)``; the output's error is ``tau * |mean of the dropped values - mean of the kept ones|``, each mean
weighted by attention (arXiv 2512.07647); total variation equals tau, and ``tau = 1 - exp(-KL(P_S || P))``.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    ) -> None:
        steps, layers = references[0].lse.shape[0], len(references)
        self.references, self.heads, self.wo, self.slots, self.rows = references, heads, wo, slots, rows
        self.mass = np.full((steps, layers, heads), np.nan)
        self.mass_beyond_sink = np.full((steps, layers, heads), np.nan)
        self.error = np.full((steps, layers, heads), np.nan)
        self.recall = np.full((steps, layers, heads), np.nan)
        self.projected_error = np.full((steps, layers), np.nan)
        self.projected_l1 = np.full((steps, layers), np.nan)
        self.live = np.zeros((steps, layers, rows), np.int32)

    def __call__(self, seen: Attended) -> None:
        """Measure one step."""
        first, last = seen.streams.start // self.rows, seen.streams.stop // self.rows
        layers, step, heads = slice(first, last), seen.step, self.heads
        made = last - first
        lse = np.stack([reference.lse[step] for reference in self.references[layers]])
        full = np.stack([reference.out[step] for reference in self.references[layers]])
        sink = np.stack([reference.sink[step] for reference in self.references[layers]])
        out = seen.out.reshape(made, heads, -1)

        mass = np.exp(np.minimum(seen.lse.reshape(made, heads) - lse, 0.0 if not self.slots.merged else np.inf))
        on_sink = np.where((seen.ids[:, :SINK] < SINK) & (seen.ids[:, :SINK] >= 0), 1.0, 0.0)
        kept_sink = (seen.weights[:, :, :SINK] * on_sink[:, None]).sum(-1).reshape(made, heads) * mass
        rest = 1 - sink
        self.mass[step, layers] = mass
        with np.errstate(divide="ignore", invalid="ignore"):
            beyond = np.where(rest > 1e-6, (mass - kept_sink) / rest, np.nan)
        self.mass_beyond_sink[step, layers] = np.clip(beyond, 0, 1) if not self.slots.merged else beyond
        away = np.linalg.norm(out - full, axis=-1)
        self.error[step, layers] = away / np.maximum(np.linalg.norm(full, axis=-1), 1e-30)
        self.recall[step, layers] = self._recall(seen, made, step)
        self.live[step, layers] = seen.count.reshape(made, -1)
        for number in range(made):
            wo, truth = self.wo[first + number], self.references[first + number].projected
            if wo is not None and truth is not None:
                change = (out[number] - full[number]).reshape(-1) @ wo
                norm, total = np.linalg.norm(truth[step]), np.abs(truth[step]).sum()
                self.projected_error[step, first + number] = np.linalg.norm(change) / max(float(norm), 1e-30)
                self.projected_l1[step, first + number] = np.abs(change).sum() / max(float(total), 1e-30)

    def _recall(self, seen: Attended, made: int, step: int) -> npt.NDArray[np.float64]:
        first = seen.streams.start // self.rows
        top = np.stack([reference.top[step] for reference in self.references[first : first + made]])
        group = self.heads // self.rows
        wanted = top.reshape(made * self.rows, group, -1)
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
        return np.asarray(share.reshape(made, self.heads))
