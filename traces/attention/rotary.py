"""Rotary position embedding: pairs of coordinates turned by an angle that grows with the position, and turned back.

Su et al., RoFormer (2021), https://arxiv.org/abs/2104.09864. Pair ``i`` of ``rotary_dim / 2`` turns by
``position * theta ** (-2 i / rotary_dim)``. Models differ in which coordinates form a pair, and
exchanging the two layouts gives numbers that look sane and are wrong: hence `pairing` is never guessed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UnknownNameError, UsageError
from .manifest import PAIRINGS

__all__ = ["rotate", "rotate_pairs"]


def rotate(
    x: npt.NDArray[Any],
    positions: npt.ArrayLike,
    theta: float,
    pairing: str,
    rotary_dim: int | None = None,
    *,
    inverse: bool = False,
) -> npt.NDArray[Any]:
    """Turn queries or keys to their positions, or back.

    Parameters
    ----------
    x : ndarray of float [..., n, head_dim]
        float32 and float64 keep their type, others become float32.
    positions : array_like of number [n]
    theta : float
        Base, `rope_theta` of the layer.
    pairing : {"half", "adjacent"}
        Coordinate i goes with i + rotary_dim / 2, or 2 i with 2 i + 1.
    rotary_dim : int, optional
        Leading coordinates that are turned; all of them if not given.
    inverse : bool
        Turn back.

    Returns
    -------
    ndarray of [..., n, head_dim]
        A new array.

    Raises
    ------
    UnknownNameError
        There is no such pairing.
    UsageError
        `rotary_dim` is odd or above head_dim, or there is not one position per row.
    """
    turned = np.array(x, dtype=x.dtype if x.dtype in (np.float32, np.float64) else np.float32)
    rotary_dim = x.shape[-1] if rotary_dim is None else rotary_dim
    if rotary_dim % 2 or not 0 <= rotary_dim <= x.shape[-1]:
        raise UsageError(f"rotary_dim={rotary_dim} must be even, and at most the {x.shape[-1]} coordinates of a head")
    at = np.asarray(positions, dtype=np.float64)
    if at.shape != (x.shape[-2],):
        raise UsageError(f"{list(at.shape)} positions for {x.shape[-2]} rows: one position per row")
    # Angles in float64: position 100,000 times a frequency loses its fraction in float32.
    # Rows often share a position (a whole cache that moves by one): each angle is computed once.
    different, which = np.unique(at, return_inverse=True)
    angles = different[:, None] * theta ** (-np.arange(0, rotary_dim, 2) / max(rotary_dim, 1))
    cos = np.cos(angles).astype(turned.dtype)[which]
    sin = np.sin(-angles if inverse else angles).astype(turned.dtype)[which]
    one, other = rotate_pairs(rotary_dim, pairing)
    a, b = turned[..., one], turned[..., other]
    turned[..., one], turned[..., other] = a * cos - b * sin, b * cos + a * sin
    return turned


def rotate_pairs(rotary_dim: int, pairing: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First and second coordinate of each pair, the fastest first, as two index arrays [rotary_dim / 2]."""
    if pairing not in PAIRINGS:
        raise UnknownNameError("pairing", pairing, PAIRINGS)
    if pairing == "half":
        return np.arange(rotary_dim // 2), np.arange(rotary_dim // 2, rotary_dim)
    return np.arange(0, rotary_dim, 2), np.arange(1, rotary_dim, 2)
