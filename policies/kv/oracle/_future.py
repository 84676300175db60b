"""What an oracle knows: the attention that the decoding steps will give by the uncompressed cache."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..context import Layer

__all__ = ["attention_to_come"]


def attention_to_come(layer: Layer) -> npt.NDArray[np.floating]:
    """Attention of each decoding step, summed over the query heads of a stream: float[streams, steps, positions].

    This sum, over the slots that are there, is the mass that all oracles maximise.
    """
    rows = layer.streams.stop - layer.streams.start
    future = layer.future
    return np.asarray(future.reshape(rows, -1, *future.shape[1:]).sum(1))
