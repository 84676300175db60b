"""Asymmetric round to nearest, and back: what a stored number of few bits becomes when it is used."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .errors import ActionError

__all__ = ["quantise_channels", "quantise_tokens"]

Floats = npt.NDArray[np.floating]


def quantise_tokens(held: Floats, bits: int, group: int) -> Floats:
    """Groups of channels within each slot share a minimum and a step, both kept as float16.

    Parameters
    ----------
    held : float[slots, head_dim]
    bits : int
    group : int
        Channels of a group; divides head_dim.
    """
    slots, dim = held.shape
    if group < 1 or dim % group:
        raise ActionError(f"groups of {group} channels do not divide a head of {dim}")
    return _rounded(held.reshape(slots, -1, group), bits, -1).reshape(slots, dim)


def quantise_channels(held: Floats, bits: int, group: int) -> Floats:
    """Groups of slots share a minimum and a step within each channel.

    Parameters
    ----------
    held : float[slots, head_dim]
        Whole groups, in the order in which they are stored.
    bits : int
    group : int
        Slots of a group.
    """
    slots, dim = held.shape
    return _rounded(held.reshape(-1, group, dim), bits, 1).reshape(slots, dim)


def _rounded(grouped: Floats, bits: int, axis: int) -> Floats:
    if not 1 <= bits <= 8:
        raise ActionError(f"{bits} bits: from 1 to 8 can be quantised to")
    least = grouped.min(axis, keepdims=True).astype(np.float16).astype(grouped.dtype)
    step = ((grouped.max(axis, keepdims=True) - least) / (2**bits - 1)).astype(np.float16).astype(grouped.dtype)
    step = np.where(step > 0, step, 1)
    levels = np.clip(np.rint((grouped - least) / step), 0, 2**bits - 1)
    return np.asarray(levels * step + least, grouped.dtype)
