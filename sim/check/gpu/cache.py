"""One layer's keys and values as real tensors: contiguous, of exactly the size that the live slots need.

Nothing is changed in place: appending and compacting give new tensors, as `torch.cat` and `torch.gather` do in most caches
that are in use. So a step can be timed many times from the same state, and what the allocator holds is what is alive.
Streams that hold fewer slots than the longest of their layer are padded to its length; pads are never read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from ...attention.errors import ActionError

__all__ = ["ATTENTIONS", "Cut", "LayerCache", "append", "attend", "bias_of", "compact", "joined", "plan_cut"]

ATTENTIONS = ("eager", "sdpa")
"""Two matrix products around a softmax in float32, or torch's fused kernel."""

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class LayerCache:
    """Keys and values of one layer.

    Attributes
    ----------
    keys, values : Tensor [rows, slots, head_dim]
    ids : int32[rows, slots]
        Positions in the text, ascending, -1 pads; kept by the host.
    count : int64[rows]
        Live slots.
    mass : Tensor float32 [rows, slots] or None
        Logarithm of the number of tokens that a slot stands for, once something was merged.
    turn : int64[rows, slots] or None
        By how many positions a key is turned before it is attended to, once something was repositioned. What is kept is the
        key as it was recorded: turning it again and again would round it again and again.
    """

    keys: torch.Tensor
    values: torch.Tensor
    ids: Ints
    count: npt.NDArray[np.int64]
    mass: torch.Tensor | None = None
    turn: npt.NDArray[np.int64] | None = None

    @property
    def ragged(self) -> bool:
        """Whether some stream is padded."""
        return bool((self.count < self.ids.shape[1]).any())

    @property
    def slot_bytes(self) -> int:
        """Key and value of one slot."""
        return 2 * self.keys.shape[-1] * self.keys.element_size()

    @property
    def padding_bytes(self) -> int:
        """Taken by slots that are none."""
        return int(self.ids.size - self.count.sum()) * self.slot_bytes

    @property
    def mass_bytes(self) -> int:
        """Taken by the logarithms of masses, which the slots' bytes do not include."""
        return 0 if self.mass is None else self.mass.numel() * self.mass.element_size()

    def storages(self) -> list[torch.Tensor]:
        """All tensors that it keeps."""
        return [self.keys, self.values, *([] if self.mass is None else [self.mass])]


@dataclass(frozen=True)
class Cut:
    """Which slots stay, worked out before anything is copied.

    Attributes
    ----------
    places : Tensor int64 [rows, slots left]
        Where each is now; pads repeat the first one.
    ids : int32[rows, slots left]
    count : int64[rows]
    """

    places: torch.Tensor
    ids: Ints
    count: npt.NDArray[np.int64]


def append(
    cache: LayerCache, newest: int, keys: torch.Tensor, values: torch.Tensor, shift: npt.NDArray[np.int64] | None = None
) -> LayerCache:
    """Append one token.

    Parameters
    ----------
    cache : LayerCache
    newest : int
        Its position.
    keys, values : Tensor [rows, head_dim]
    shift : int64[rows], optional
        By how much its key is turned in streams that were repositioned.
    """
    rows, _ = cache.ids.shape
    ids = np.concatenate([cache.ids, np.full((rows, 1), -1, np.int32)], axis=1)
    ids[np.arange(rows), cache.count] = newest
    at = torch.from_numpy(cache.count).to(keys.device) if cache.ragged else None
    mass = None if cache.mass is None else joined(cache.mass[:, :, None], cache.mass.new_zeros(rows, 1), at)[:, :, 0]
    turn = None
    if cache.turn is not None and shift is not None:
        turn = np.pad(cache.turn, ((0, 0), (0, 1)))
        turn[np.arange(rows), cache.count] = shift
    return LayerCache(joined(cache.keys, keys, at), joined(cache.values, values, at), ids, cache.count + 1, mass, turn)


def joined(held: torch.Tensor, new: torch.Tensor, at: torch.Tensor | None) -> torch.Tensor:
    """One more slot for each row.

    Parameters
    ----------
    held : Tensor [rows, slots, channels]
    new : Tensor [rows, channels]
    at : Tensor int64 [rows] or None
        Where it goes, in front of the pads; None: behind the last.

    Returns
    -------
    Tensor [rows, slots + 1, channels]
    """
    if at is None:
        return torch.cat([held, new[:, None]], 1)
    rows, width, channels = held.shape
    grown = held.new_empty(rows, width + 1, channels)
    grown[:, :width] = held
    grown[:, width] = 0  # a pad's weight is 0, and 0 times whatever lies in memory need not be 0
    return grown.scatter_(1, at[:, None, None].expand(-1, 1, channels), new[:, None])


def plan_cut(cache: LayerCache, rows: Ints, ids: Ints) -> Cut:
    """Work out what is left when some slots leave.

    Parameters
    ----------
    cache : LayerCache
    rows, ids : int32[n]
        Pairs: slot ``ids[i]`` of the layer's stream ``rows[i]``.

    Raises
    ------
    ActionError
        A slot is not there, or named twice.
    """
    stays = cache.ids >= 0
    for row in np.unique(rows):
        wanted = ids[rows == row]
        found = np.isin(cache.ids[row], wanted) & stays[row]
        if found.sum() != len(wanted):
            missing = sorted(set(wanted.tolist()) - set(cache.ids[row].tolist()))
            what = f"slot {missing[0]} is not resident" if missing else "a slot is evicted twice by one action"
            raise ActionError(f"the log cannot be carried out: stream {int(row)} of a layer, {what}")
        stays[row] &= ~found
    count = stays.sum(1)
    # A stable sort of "leaves" moves the slots that stay to the front and keeps their order.
    places = np.argsort(~stays, axis=1, kind="stable")[:, : int(count.max(initial=0))]
    left = np.arange(places.shape[1])[None, :] < count[:, None]
    places = np.where(left, places, 0)
    kept = np.where(left, np.take_along_axis(cache.ids, places, 1), -1).astype(np.int32)
    return Cut(torch.from_numpy(places).to(cache.keys.device), kept, count)


def compact(cache: LayerCache, cut: Cut) -> LayerCache:
    """Gather what stays into tensors of their own size."""
    index = cut.places[:, :, None].expand(-1, -1, cache.keys.shape[2])
    return LayerCache(
        cache.keys.gather(1, index),
        cache.values.gather(1, index),
        cut.ids,
        cut.count,
        None if cache.mass is None else cache.mass.gather(1, cut.places),
        None if cache.turn is None else np.take_along_axis(cache.turn, cut.places.cpu().numpy(), 1),
    )


def bias_of(cache: LayerCache, read: npt.NDArray[np.bool_] | None = None) -> torch.Tensor | None:
    """What is added to logits: minus infinity at pads and at slots that are not read, and masses; None where that is nothing.

    Parameters
    ----------
    cache : LayerCache
    read : bool[rows, queries, slots], optional

    Returns
    -------
    Tensor float32 [rows, 1 or queries, slots] or None
    """
    seen = None
    if read is not None:
        seen = read & (cache.ids >= 0)[:, None, :]
    elif cache.ragged:
        seen = (cache.ids >= 0)[:, None, :]
    if seen is None:
        return None if cache.mass is None else cache.mass[:, None, :]
    bias = torch.from_numpy(np.where(seen, 0.0, -np.inf).astype(np.float32)).to(cache.keys.device)
    return bias if cache.mass is None else bias + cache.mass[:, None, :]


def attend(
    q: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    bias: torch.Tensor | None,
    scale: float,
    how: str = "eager",
) -> torch.Tensor:
    """Attend over what is left, in the dtype of the tensors; the softmax is computed in float32.

    Parameters
    ----------
    q : Tensor [rows, queries, head_dim]
        The query heads that read each stream.
    keys, values : Tensor [rows, slots, head_dim]
    bias : Tensor float32 [rows, 1 or queries, slots] or None
    scale : float
    how : {"eager", "sdpa"}

    Returns
    -------
    Tensor [rows, queries, head_dim]
    """
    if how == "sdpa":
        mask = None if bias is None else bias.to(q.dtype)[None]
        return F.scaled_dot_product_attention(q[None], keys[None], values[None], attn_mask=mask, scale=scale)[0]
    logits = (q @ keys.transpose(1, 2)).float() * scale
    if bias is not None:
        logits = logits + bias
    return logits.softmax(-1).to(q.dtype) @ values
