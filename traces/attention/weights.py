"""The output projection of a layer: plain, or in the 4-bit blocks in which the model file has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from .layer import from_bfloat16
from .manifest import Manifest

__all__ = ["OutputProjection", "decode_q4_1"]

Q4_1_NUMBERS, Q4_1_BYTES = 32, 20
"""Numbers per block, and its bytes: float16 step, float16 minimum, 16 bytes with two 4-bit levels each."""


@dataclass(frozen=True, eq=False)
class OutputProjection:
    """What turns the concatenated heads of a layer into what is added to the residual stream.

    Attributes
    ----------
    stored : ndarray
        ``wo``: [heads * head_dim, d_model], float16, float32 or bfloat16 bits.
        ``wo_q4_1``: uint8 [d_model, heads * head_dim / 32, 20], a row per output feature as in GGUF.
    name : {"wo", "wo_q4_1"}
    source : str
        File, for errors.
    """

    stored: npt.NDArray[Any]
    name: str = "wo"
    source: str = "this trace"

    def float32(self) -> npt.NDArray[np.float32]:
        """The matrix as a new float32 array [heads * head_dim, d_model]; made on each call, so keep it."""
        if self.name == "wo_q4_1":
            return np.ascontiguousarray(decode_q4_1(self.stored).T)
        return from_bfloat16(self.stored) if self.stored.dtype == np.uint16 else self.stored.astype(np.float32)

    def check(self, manifest: Manifest) -> OutputProjection:
        """Return self if the shape is that of the manifest.

        Raises
        ------
        FormatError
            It is not, or the numbers are of another type.
        """
        inner, outer = manifest.heads * manifest.head_dim, manifest.d_model
        want: list[int | None] = [inner, outer]
        dtypes: tuple[str, ...] = ("float16", "float32", "uint16")
        if self.name == "wo_q4_1":
            if inner % Q4_1_NUMBERS:
                raise FormatError(self.source, f"wo_q4_1 packs {Q4_1_NUMBERS} numbers, and a row would have {inner}")
            want, dtypes = [outer, inner // Q4_1_NUMBERS, Q4_1_BYTES], ("uint8",)
        found = list(self.stored.shape)
        if len(found) != len(want) or any(w not in (None, n) for w, n in zip(want, found, strict=True)):
            raise FormatError(self.source, f"{self.name} has the shape {found}, and the manifest says {want}")
        if self.stored.dtype.name not in dtypes:
            raise FormatError(self.source, f"{self.name} is {self.stored.dtype}, expected {' or '.join(dtypes)}")
        return self


def decode_q4_1(blocks: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Numbers of GGUF's Q4_1 blocks.

    Parameters
    ----------
    blocks : ndarray of uint8 [rows, blocks, 20]
        Step d and minimum m (float16), then 16 bytes: the low half of byte i is the level of
        number i, the high half that of number 16 + i. A number is ``d * level + m``.

    Returns
    -------
    ndarray of float32 [rows, 32 * blocks]
    """
    step_and_least = np.ascontiguousarray(blocks[..., :4]).view("<f2").astype(np.float32)
    levels = np.concatenate([blocks[..., 4:] & 15, blocks[..., 4:] >> 4], axis=-1)
    numbers: npt.NDArray[np.float32] = step_and_least[..., :1] * levels + step_and_least[..., 1:]
    return numbers.reshape(blocks.shape[0], -1)
