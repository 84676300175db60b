"""What a KV policy sees: one layer of a prompt, or one decoding step. It is causal, and holds what was declared.

Each view is built by the engine. Reading what `Needs` does not declare raises `UndeclaredError`, and so does asking for
more than was declared; nothing in a view lies after its newest token, and asking for a later one raises `FutureError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .actions import Evict
from .cut import lowest
from .layer import FutureError, Layer, UndeclaredError
from .needs import Needs
from .setting import Setting

__all__ = ["FutureError", "Layer", "Prompt", "Step", "UndeclaredError"]

Floats = npt.NDArray[np.floating]


@dataclass
class Prompt:
    """The end of a prompt: all layers of one sequence, before anything has left.

    Attributes
    ----------
    setting : Setting
    layers : list of Layer
    budgets : int32[streams]
        Slots that each stream may hold from now on; a policy that shares out writes here (`allocate`).
    """

    setting: Setting
    layers: list[Layer]
    budgets: npt.NDArray[np.int32]

    @property
    def n(self) -> int:
        """Tokens of the prompt."""
        return self.setting.prompt

    def held(self, forced: int = 0) -> npt.NDArray[np.bool_]:
        """Which positions are protected, with the last `forced` ones that the policy itself keeps: bool[n]."""
        ids = np.arange(self.n, dtype=np.int32)
        return self.setting.protect.mask(ids, self.n - 1, self.n) | (ids >= self.n - forced)

    def allocate(self, layer: Layer, counts: npt.NDArray[np.integer]) -> None:
        """Let the streams of a layer hold so many slots each from now on.

        Parameters
        ----------
        layer : Layer
        counts : int[streams of the layer]
        """
        self.budgets[layer.streams] = counts

    def cut(self, layer: Layer, scores: Floats, forced: int = 0) -> Evict:
        """Evict the keys of lowest score until each stream of the layer fits into its budget.

        Parameters
        ----------
        layer : Layer
        scores : float[streams of the layer, n]
            Higher = keep.
        forced : int
            The last so many stay whatever their score.
        """
        rows = scores.shape[0]
        ids = np.broadcast_to(np.arange(self.n, dtype=np.int32), (rows, self.n))
        held = np.broadcast_to(self.held(forced) & ~layer.gone, (rows, self.n))
        # What slides out of the layer's window leaves anyway: it takes no place from what can still be seen.
        scores = np.where(layer.gone, -np.inf, scores) if layer.window is not None else scores
        marks = lowest(scores, ids, self.n - self.budgets[layer.streams], held)
        row, position = np.nonzero(marks)
        return Evict((row + layer.streams.start).astype(np.int32), position.astype(np.int32))


class Step:
    """One decoding step, after its queries have attended: the newest token's slot is there already.

    Attributes
    ----------
    setting : Setting
    step : int
        Number of the decoding step, from 0.
    newest : int
        Position of the newest token.
    streams : slice
        Which streams are looked at: whole layers. All arrays below are of these streams, in their order.
    ids : int32[streams, slots]
        Live slots, ascending; -1 is no slot.
    count : int32[streams]
        Live slots of each.
    budget : int32[streams]
    """

    __slots__ = ("_needs", "_sources", "budget", "count", "ids", "newest", "setting", "step", "streams")

    def __init__(
        self,
        setting: Setting,
        needs: Needs,
        step: int,
        newest: int,
        streams: slice,
        ids: npt.NDArray[np.int32],
        count: npt.NDArray[np.int32],
        budget: npt.NDArray[np.int32],
        sources: dict[str, Callable[..., Any]],
    ) -> None:
        self.setting, self.step, self.newest, self.streams = setting, step, newest, streams
        self.ids, self.count, self.budget = ids, count, budget
        self._needs, self._sources = needs, sources

    def _declared(self, ok: bool, what: str, declare: str) -> None:
        if not ok:
            raise UndeclaredError(what, declare)

    @property
    def live(self) -> npt.NDArray[np.bool_]:
        """Where a slot is: bool[streams, slots]."""
        return np.asarray(self.ids >= 0)

    @property
    def protected(self) -> npt.NDArray[np.bool_]:
        """Slots that must stay: bool[streams, slots]."""
        return np.asarray(self._sources["protected"]())

    @property
    def weights(self) -> Floats:
        """Attention that this step's queries gave to the live slots: [streams, queries of a stream, slots]; 0 at no slot."""
        self._declared(self._needs.weights, "attention weights of a step", "weights=True")
        return np.asarray(self._sources["weights"]())

    @property
    def full_weights(self) -> Floats:
        """Attention to the live slots by the uncompressed cache: [streams, queries of a stream, slots]; sums to less than 1."""
        self._declared(self._needs.full_weights, "weights by the uncompressed cache", "full_weights=True")
        return np.asarray(self._sources["full_weights"]())

    def queries(self, window: int = 1) -> Floats:
        """The last `window` queries: [streams, queries of a stream, window, head_dim]."""
        self._declared(window <= self._needs.queries, f"the last {window} queries", f"queries={window}")
        return np.asarray(self._sources["queries"](window))

    def weights_of_last(self, window: int) -> Floats:
        """Attention of the last `window` queries over the live slots: [streams, queries of a stream, window, slots].

        Each query over those slots that are not newer than itself; computed anew, so it costs `window` passes.
        """
        self._declared(window <= self._needs.window, f"a window of {window} rows of attention", f"window={window}")
        return np.asarray(self._sources["weights_of_last"](window))

    @property
    def keys(self) -> Floats:
        """Keys of the live slots: [streams, slots, head_dim]; anything at no slot."""
        self._declared(self._needs.keys, "keys", "keys=True")
        return np.asarray(self._sources["keys"]())

    @property
    def values(self) -> Floats:
        """Values of the live slots: [streams, slots, head_dim]; anything at no slot."""
        self._declared(self._needs.values, "values", "values=True")
        return np.asarray(self._sources["values"]())

    @property
    def tokens(self) -> npt.NDArray[np.int32]:
        """Token ids up to the newest: int32[sequences, newest + 1]."""
        self._declared(self._needs.tokens, "token ids", "tokens=True")
        return np.asarray(self._sources["tokens"]())

    @property
    def newest_keys(self) -> Floats:
        """The newest token's keys: [streams, head_dim]."""
        self._declared(self._needs.keys, "keys", "keys=True")
        return np.asarray(self._sources["newest_keys"]())

    @property
    def future(self) -> Floats:
        """Attention that the later steps give by the uncompressed cache: [streams, queries, steps to come, positions].

        For oracles only.
        """
        self._declared(self._needs.future, "the future", "future=True")
        return np.asarray(self._sources["future"]())

    def layers(self, gqa: str) -> Iterator[tuple[slice, Layer]]:
        """The live slots of each layer and sequence, as a scorer of prompts sees one.

        A layer is as long as the longest of its heads, whatever else is looked at. Heads that hold fewer slots end in
        slots that are none: their keys are zero and get no attention, their scores are ignored.

        Parameters
        ----------
        gqa : str
            Of the policy: ``"none"`` where each query head is a stream.

        Yields
        ------
        rows : slice
            Of this step's arrays.
        layer : Layer
        """
        rows = self.setting.rows(gqa)
        per_layer = rows * self.setting.sequences
        for first in range(0, len(self.ids), rows):
            index = (self.streams.start + first) // per_layer
            block = slice(first, first + rows)
            n = int(self.count[block].max())
            yield (
                block,
                Layer(
                    index=index,
                    n=n,
                    setting=self.setting,
                    needs=self._needs,
                    rotary=self.setting.rotary[index],
                    streams=slice(self.streams.start + first, self.streams.start + first + rows),
                    sources=self._sources["layer"](block, index, n),
                ),
            )

    def cut(self, scores: Floats, keep: npt.NDArray[np.integer] | None = None, forced: int = 0) -> Evict | None:
        """Evict the slots of lowest score until each stream fits.

        Parameters
        ----------
        scores : float[streams, slots]
            Higher = keep.
        keep : int[streams], optional
            Slots that stay; by default each stream's budget.
        forced : int
            The newest so many stay whatever their score.

        Returns
        -------
        Evict or None
            None where everything fits.
        """
        drop = self.count - (self.budget if keep is None else keep)
        if not (drop > 0).any():
            return None
        held = self.protected
        if forced:
            held = held | (self.ids > self.newest - forced)
        marks = lowest(scores, self.ids, drop, held)
        row, place = np.nonzero(marks)
        return Evict((row + self.streams.start).astype(np.int32), self.ids[row, place])
