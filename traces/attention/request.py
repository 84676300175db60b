"""One text that a model read, and what was recorded of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from ..errors import TraceError
from .layer import LayerTensors

__all__ = ["AttentionRequest", "LazyLayers", "Steps"]


class LazyLayers(Sequence[LayerTensors]):
    """Layers that are opened when first asked for, and then kept (opening maps a file, it does not read it)."""

    def __init__(self, openers: Sequence[Callable[[], LayerTensors]]) -> None:
        self._openers = tuple(openers)
        self._opened: dict[int, LayerTensors] = {}

    def __len__(self) -> int:
        return len(self._openers)

    @overload
    def __getitem__(self, which: int) -> LayerTensors: ...
    @overload
    def __getitem__(self, which: slice) -> Sequence[LayerTensors]: ...
    def __getitem__(self, which: int | slice) -> LayerTensors | Sequence[LayerTensors]:
        if isinstance(which, slice):
            return tuple(self[i] for i in range(len(self))[which])
        i = range(len(self))[which]
        if i not in self._opened:
            self._opened[i] = self._openers[i]()
        return self._opened[i]


@dataclass(frozen=True, eq=False)
class Steps:
    """What the model predicted at the recorded positions, one row each.

    Attributes
    ----------
    pos : ndarray of int32 [steps]
        Position of the query whose prediction it is.
    nll : ndarray of float32 [steps]
        Negative log-likelihood, in nats, of the token that really follows.
    logsumexp : ndarray of float32 [steps]
        Of all logits, so that a logit becomes a log-probability.
    top_ids, top_logits : ndarray of int32, float16 [steps, kept]
        The most likely tokens, most likely first.
    """

    pos: npt.NDArray[np.int32]
    nll: npt.NDArray[np.float32]
    logsumexp: npt.NDArray[np.float32]
    top_ids: npt.NDArray[np.int32]
    top_logits: npt.NDArray[np.float16]


@dataclass(frozen=True, eq=False, repr=False)
class AttentionRequest:
    """One text that the model read.

    Attributes
    ----------
    id, source, split : str
    token_ids : ndarray of int32 [tokens]
        Prompt, then what was decoded (or, teacher-forced, what followed).
    n_prompt, n_decode : int
    layers : sequence of LayerTensors
        In the order of the manifest's layers; from a folder, opened when asked for.
    steps : Steps or None
    """

    id: str
    source: str
    token_ids: npt.NDArray[np.int32]
    n_prompt: int
    n_decode: int
    layers: Sequence[LayerTensors]
    steps: Steps | None = None
    split: str = ""

    def __post_init__(self) -> None:
        if self.n_prompt < 1 or self.n_decode < 0 or self.n_prompt + self.n_decode != len(self.token_ids):
            raise TraceError(
                f"request {self.id!r} has {len(self.token_ids)} tokens, and {self.n_prompt} of the prompt "
                f"+ {self.n_decode} decoded ones are stated; the prompt has at least one"
            )

    @property
    def tokens(self) -> int:
        """Positions: prompt and decoded ones."""
        return len(self.token_ids)

    def __repr__(self) -> str:
        return (
            f"AttentionRequest({self.id!r}, prompt={self.n_prompt}, decode={self.n_decode}, layers={len(self.layers)})"
        )
