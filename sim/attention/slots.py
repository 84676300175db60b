"""The slots of all streams: which are live, what they hold, what they cost. Actions are carried out here and only here."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...policies.kv.actions import Action, Evict, Merge, Move, Pin, PruneChannels, Quantise, Reposition
from ...policies.kv.setting import Setting
from ...traces.attention.rotary import rotate
from .errors import ActionError
from .kernels import close_gaps
from .quantise import quantise_channels, quantise_tokens

__all__ = ["Slots"]

GROUP_BITS = 32
"""Bits of the scale and zero point that a group of quantised elements shares: two float16."""


class Slots:
    """Slots of every stream, in the order of their ids.

    Parameters
    ----------
    setting : Setting
    gqa : str
        ``"none"`` where each query head is a stream and stores its own copy of keys and values.
    dtype : dtype
        Of keys and values as computed with.
    element_bytes : int
        Of keys and values as stored by the model.

    Attributes
    ----------
    keys, values : float[streams, capacity, head_dim]
        As they are used: after merging, quantising and pruning.
    alive : bool[streams, capacity]
    ids : int32[streams, slots]
        Live slots of each stream, ascending, then -1.
    count : int32[streams]
    members : int32[streams, capacity]
        Tokens that a live slot stands for.
    log_mass : float[streams, capacity]
        Added to a slot's logit.
    rope_position : int32[streams, capacity]
    shift : int32[streams]
        By how much later queries and keys of a repositioned stream are turned.
    bits, key_bits : int32[streams, capacity]
        What a slot takes, with its share of scales, and how much of that its key takes.
    newest : int32[streams]
        Position of the token appended last.
    tier : uint8[streams, capacity]
    pinned : bool[streams, capacity]
    merged : bool
        Whether any slot's mass differs from one token's.
    """

    def __init__(self, setting: Setting, gqa: str, dtype: npt.DTypeLike, element_bytes: int) -> None:
        streams, capacity, dim = setting.streams(gqa), setting.capacity, setting.head_dim
        self.setting, self.gqa, self.element_bytes = setting, gqa, element_bytes
        self.keys = np.zeros((streams, capacity, dim), dtype)
        self.values = np.zeros((streams, capacity, dim), dtype)
        self.alive = np.zeros((streams, capacity), bool)
        self.ids = np.full((streams, 8), -1, np.int32)
        self.count = np.zeros(streams, np.int32)
        self.members = np.ones((streams, capacity), np.int32)
        self.log_mass = np.zeros((streams, capacity), dtype)
        self.rope_position = np.broadcast_to(np.arange(capacity, dtype=np.int32), (streams, capacity))
        self.shift = np.zeros(streams, np.int32)
        self.bits = np.full((streams, capacity), 2 * 8 * element_bytes * dim, np.int32)
        self.key_bits = np.full((streams, capacity), 8 * element_bytes * dim, np.int32)
        self.newest = np.full(streams, -1, np.int32)
        self._stored: npt.NDArray[np.bool_] | None = None  # channels of each key, once any was pruned
        self.tier = np.zeros((streams, capacity), np.uint8)
        self.pinned = np.zeros((streams, capacity), bool)
        self.resident_bits = np.zeros(streams, np.int64)
        self.merged = False

    def fill(self, keys: npt.NDArray[np.floating], values: npt.NDArray[np.floating]) -> None:
        """Append a whole prompt to every stream.

        Parameters
        ----------
        keys, values : float[streams, prompt, head_dim]
        """
        n = keys.shape[1]
        self.keys[:, :n], self.values[:, :n] = keys, values
        self.alive[:, :n] = True
        self.ids = np.full((len(self.count), n + 8), -1, np.int32)
        self.ids[:, :n] = np.arange(n)
        self.count[:] = n
        self.newest[:] = n - 1
        self.resident_bits[:] = self.bits[:, :n].sum(1)

    def shrink(self) -> None:
        """Give back the room that the prompt needed in the list of live slots."""
        self.ids = np.ascontiguousarray(self.ids[:, : int(self.count.max()) + 8])

    def append(self, block: slice, slot: int, keys: npt.NDArray[np.floating], values: npt.NDArray[np.floating]) -> None:
        """Append one token to some streams.

        Parameters
        ----------
        block : slice
            Streams.
        slot : int
            Its position.
        keys, values : float[streams, head_dim]
        """
        if int(self.count[block].max()) >= self.ids.shape[1]:
            grown = np.full((len(self.ids), 2 * self.ids.shape[1]), -1, np.int32)
            grown[:, : self.ids.shape[1]] = self.ids
            self.ids = grown
        self.keys[block, slot], self.values[block, slot] = keys, values
        self.alive[block, slot] = True
        rows = np.arange(block.start, block.stop)
        self.ids[rows, self.count[block]] = slot
        self.count[block] += 1
        self.newest[block] = slot
        self.resident_bits[block] += self.bits[block, slot]
        if self.shift[block].any():
            self.rope_position[block, slot] = slot + self.shift[block]

    def apply(self, action: Action) -> None:
        """Carry out one action.

        Raises
        ------
        ActionError
            A slot that is not there, or is pinned.
        """
        if isinstance(action, Evict):
            self._leave(action.streams, action.ids, "evicted")
        elif isinstance(action, Merge):
            self._merge(action)
        elif isinstance(action, Quantise):
            self._quantise(action)
        elif isinstance(action, PruneChannels):
            self._prune(action)
        elif isinstance(action, Move):
            self._check(action.streams, action.ids, "moved")
            self.tier[action.streams, action.ids] = action.tier
        elif isinstance(action, Pin):
            self._check(action.streams, action.ids, "pinned")
            self.pinned[action.streams, action.ids] = True
        else:
            self._reposition(action)

    def _check(self, streams: npt.NDArray[np.int32], ids: npt.NDArray[np.int32], what: str) -> None:
        gone = np.flatnonzero(~self.alive[streams, ids])
        if len(gone):
            at = int(gone[0])
            raise ActionError(f"slot {int(ids[at])} of stream {int(streams[at])} cannot be {what}: it is not resident")

    def _leave(self, streams: npt.NDArray[np.int32], ids: npt.NDArray[np.int32], what: str) -> None:
        if not len(ids):
            return
        self._check(streams, ids, what)
        if self.pinned[streams, ids].any():
            at = int(np.flatnonzero(self.pinned[streams, ids])[0])
            raise ActionError(f"slot {int(ids[at])} of stream {int(streams[at])} is pinned and cannot be {what}")
        before = int(self.alive[streams, ids].sum())
        self.alive[streams, ids] = False
        np.subtract.at(self.resident_bits, streams, self.bits[streams, ids])
        first, last = int(streams.min()), int(streams.max()) + 1
        held = int(self.count[first:last].sum())
        close_gaps(self.ids[first:last], self.count[first:last], self.alive, first)
        if held - int(self.count[first:last].sum()) != before:
            raise ActionError(f"a slot was {what} twice by one action")

    def _merge(self, action: Merge) -> None:
        stream, everyone = action.stream, np.append(action.sources, action.into)
        streams = np.full(len(everyone), stream, np.int32)
        self._check(streams, everyone, "merged")
        if action.into in action.sources or {len(action.key_weights), len(action.value_weights)} != {len(everyone)}:
            raise ActionError("a merge needs a weight for each source and, last, for the slot they go into")
        self.keys[stream, action.into] = action.key_weights @ self.keys[stream, everyone]
        self.values[stream, action.into] = action.value_weights @ self.values[stream, everyone]
        members = int(self.members[stream, everyone].sum())
        self.members[stream, action.into] = members
        if action.mass == "bias":
            self.log_mass[stream, action.into] = np.log(members)
            self.merged = True
        elif action.mass == "scale":
            self.values[stream, action.into] *= members
        self._leave(streams[:-1], action.sources, "merged")

    def _recount(
        self, streams: npt.NDArray[np.int32], ids: npt.NDArray[np.int32], part: str, stored: npt.NDArray[np.int64]
    ) -> None:
        """Note what the keys or the values of some slots take from now on."""
        keys = self.key_bits[streams, ids]
        change = stored - (keys if part == "keys" else self.bits[streams, ids] - keys)
        self.bits[streams, ids] += change.astype(np.int32)
        if part == "keys":
            self.key_bits[streams, ids] += change.astype(np.int32)
        np.add.at(self.resident_bits, streams, change)

    def _quantise(self, action: Quantise) -> None:
        self._check(action.streams, action.ids, "quantised")
        table = self.keys if action.part == "keys" else self.values
        held = table[action.streams, action.ids]
        if action.axis == "token":
            table[action.streams, action.ids] = quantise_tokens(held, action.bits, action.group)
        else:
            for stream in np.unique(action.streams):
                mine = action.ids[action.streams == stream]
                if len(mine) % action.group:
                    raise ActionError(
                        f"{len(mine)} slots are not whole groups of {action.group}, as axis='channel' needs"
                    )
                table[stream, mine] = quantise_channels(table[stream, mine], action.bits, action.group)
        channels = np.full(len(action.ids), self.setting.head_dim, np.int64)
        if action.part == "keys" and self._stored is not None:
            channels = self._stored[action.streams, action.ids].sum(1)
        stored = np.rint(channels * (action.bits + GROUP_BITS / action.group)).astype(np.int64)
        self._recount(action.streams, action.ids, action.part, stored)

    def _prune(self, action: PruneChannels) -> None:
        streams = np.full(len(action.ids), action.stream, np.int32)
        self._check(streams, action.ids, "pruned")
        if self._stored is None:
            self._stored = np.ones(self.keys.shape, bool)
        before = self._stored[streams, action.ids]
        self._stored[streams, action.ids] = before & action.keep
        self.keys[streams, action.ids] *= action.keep
        share = (before & action.keep).sum(1) / np.maximum(before.sum(1), 1)
        self._recount(streams, action.ids, "keys", np.rint(self.key_bits[streams, action.ids] * share).astype(np.int64))
        self.resident_bits[action.stream] += self.setting.head_dim  # the mask, one bit per channel

    def _reposition(self, action: Reposition) -> None:
        self._check(action.streams, action.ids, "repositioned")
        if not self.rope_position.flags.writeable:
            self.rope_position = self.rope_position.copy()
        per_layer = self.setting.sequences * self.setting.rows(self.gqa)
        turned = action.positions - self.rope_position[action.streams, action.ids]
        layer_of = action.streams // per_layer
        for rotary in set(self.setting.rotary):
            alike = np.array([rotary == one for one in self.setting.rotary])
            mine = alike[layer_of] & (turned != 0)
            rows, ids = action.streams[mine], action.ids[mine]
            self.keys[rows, ids] = rotate(
                self.keys[rows, ids], turned[mine], rotary.theta, rotary.pairing, rotary.dim or None
            )
        self.rope_position[action.streams, action.ids] = action.positions
        for stream in np.unique(action.streams):
            live = self.ids[stream, : self.count[stream]]
            self.shift[stream] = int(self.rope_position[stream, live].max()) - int(self.newest[stream])
