"""What a KV policy may do: it returns actions, the engine carries them out, writes them down and counts their bytes.

Slots are named by their stream (one list of slots: a KV head of a layer, or a query head for policies that keep a set for
each) and their id, the position in the text at which they were appended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Action", "Evict", "Merge", "Move", "Pin", "PruneChannels", "Quantise", "Reposition", "Select"]

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Evict:
    """Slots that are given up for good.

    Attributes
    ----------
    streams, ids : int32[n]
        Pairs: slot ``ids[i]`` of stream ``streams[i]``.
    """

    streams: Ints
    ids: Ints


@dataclass(frozen=True)
class Merge:
    """Several slots of one stream become one, which keeps the id and place of `into`.

    Attributes
    ----------
    stream : int
    sources : int32[n]
        Slots that go into it and leave; `into` itself is not among them.
    into : int
    key_weights, value_weights : float64[n + 1]
        Of the sources and, last, of `into`: the new key is the weighted sum of keys, likewise the value.
    mass : {"bias", "scale", "none"}
        How the slot stands for all its members from now on: the logarithm of their number is added to its logit, its
        value is multiplied by their number (which leaves the denominator too small), or not at all.
    """

    stream: int
    sources: Ints
    into: int
    key_weights: npt.NDArray[np.float64]
    value_weights: npt.NDArray[np.float64]
    mass: Literal["bias", "scale", "none"] = "bias"


@dataclass(frozen=True)
class Quantise:
    """Slots that are stored with fewer bits from now on: asymmetric round to nearest between minimum and maximum.

    Attributes
    ----------
    streams, ids : int32[n]
    part : {"keys", "values"}
    bits : int
    group : int
        Elements that share a scale and a zero point, both float16: channels of one slot (``axis="token"``), or
        slots of one channel (``axis="channel"``; the slots are grouped in the order given, in whole groups).
    axis : {"token", "channel"}
    """

    streams: Ints
    ids: Ints
    part: Literal["keys", "values"]
    bits: int
    group: int
    axis: Literal["token", "channel"] = "token"


@dataclass(frozen=True)
class PruneChannels:
    """Channels of keys that are no longer stored.

    Attributes
    ----------
    stream : int
    ids : int32[n]
        Slots whose keys lose them.
    keep : bool[head_dim]
    """

    stream: int
    ids: Ints
    keep: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Move:
    """Slots that move to another tier of memory: 0 is the GPU's, 1 the host's. They are still read, at that tier's price.

    Attributes
    ----------
    streams, ids : int32[n]
    tier : int
    """

    streams: Ints
    ids: Ints
    tier: int


@dataclass(frozen=True)
class Pin:
    """Slots that no later action may evict.

    Attributes
    ----------
    streams, ids : int32[n]
    """

    streams: Ints
    ids: Ints


@dataclass(frozen=True)
class Reposition:
    """Keys are turned to other rotary positions; slots and queries appended later continue after the largest.

    Attributes
    ----------
    streams, ids, positions : int32[n]
    """

    streams: Ints
    ids: Ints
    positions: Ints


@dataclass(frozen=True)
class Select:
    """Which slots this step's queries read; nothing leaves.

    Attributes
    ----------
    read : bool[streams, queries of a stream, slots]
        Over the slots as the context lists them.
    metadata_bytes : int
        Read in order to decide, of one stream.
    """

    read: npt.NDArray[np.bool_]
    metadata_bytes: int = 0


Action = Evict | Merge | Quantise | PruneChannels | Move | Pin | Reposition
