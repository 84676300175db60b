"""Bytes of a run: what is resident, what is read, and the most at any moment."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...policies.kv.actions import Select
from .slots import Slots

__all__ = ["Account"]


class Account:
    """Counts, in bits, as layers work one after another: those before one have evicted, those after it not yet appended.

    Parameters
    ----------
    slots : Slots
    layers : int

    Attributes
    ----------
    read_bits : list of int
        Read by the queries of each decoding step.
    resident_bits, peak_bits : list of int
        After the prompt and after each decoding step; the largest at any moment of it.
    """

    def __init__(self, slots: Slots, layers: int) -> None:
        self.slots, self.layers = slots, layers
        self.read_bits: list[int] = []
        self.resident_bits: list[int] = []
        self.peak_bits: list[int] = []
        self._left = self._full = np.zeros(layers, np.int64)

    def of_layers(self) -> npt.NDArray[np.int64]:
        """What each layer holds now."""
        return np.asarray(self.slots.resident_bits.reshape(self.layers, -1).sum(1))

    def prompt(self, before: npt.NDArray[np.int64], whole: bool) -> None:
        """Count the end of a prompt.

        Parameters
        ----------
        before : int64[layers]
            What each layer held before anything left.
        whole : bool
            Nothing leaves before the last layer is there.
        """
        self._left = self.of_layers()
        peak = before.sum() if whole else max(self._left[:at].sum() + before[at] for at in range(self.layers))
        self.resident_bits.append(int(self._left.sum()))
        self.peak_bits.append(int(peak))

    def attended(self, layers: slice, block: slice, ids: npt.NDArray[np.int32], selected: Select | None) -> None:
        """Count what the queries of some layers read, and what is resident while they do."""
        if selected is None:
            read = int(self.slots.resident_bits[block].sum())
        else:
            rows = np.arange(block.start, block.stop)[:, None]
            bits = np.where(selected.read.any(1), self.slots.bits[rows, np.maximum(ids, 0)], 0)
            read = int(bits.sum()) + 8 * selected.metadata_bytes * len(ids)
        if layers.start == 0:
            self.read_bits.append(read)
            self.peak_bits.append(0)
        else:
            self.read_bits[-1] += read
        self._full = self.of_layers()

    def acted(self, layers: slice) -> None:
        """Count what the policy left of these layers."""
        after = self.of_layers()
        for layer in range(layers.start, layers.stop):
            moment = int(after[:layer].sum() + self._full[layer] + self._left[layer + 1 :].sum())
            self.peak_bits[-1] = max(self.peak_bits[-1], moment)
        self._left = np.concatenate([after[: layers.stop], self._left[layers.stop :]])
        if layers.stop == self.layers:
            self.resident_bits.append(int(after.sum()))
