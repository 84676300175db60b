"""The caches of all layers under an action log: what it says is done to them, one layer and one step at a time.

Carried out: Evict, Merge, Reposition, Pin, and selections (as a mask; nothing is saved by them here). Quantise, PruneChannels
and Move are refused: packed numbers, narrower keys and a second memory need kernels of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from ....policies.kv.actions import Action, Evict, Merge, Pin, Reposition, Select
from ....traces.errors import CapabilityError, UsageError
from ...attention.errors import ActionError
from ...attention.log import ActionLog
from .cache import LayerCache, append, bias_of, compact, plan_cut
from .change import merge, turned

if TYPE_CHECKING:
    from ....traces.attention.manifest import LayerInfo
    from ...attention.replay import Prepared

__all__ = ["DTYPES", "Executor", "TraceTensors"]

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
"""Of a trace's tensors, by the manifest's name."""


@dataclass(frozen=True)
class TraceTensors:
    """One request's queries, keys and values on a device, in the model's dtype.

    Attributes
    ----------
    q : list of Tensor [heads, steps, head_dim]
        Of each layer: the decoding queries.
    k, v : list of Tensor [kv_heads, tokens, head_dim]
    prompt : int
    scale : float
    layers : tuple of LayerInfo
        How each layer rotates.
    """

    q: list[torch.Tensor]
    k: list[torch.Tensor]
    v: list[torch.Tensor]
    prompt: int
    scale: float
    layers: tuple[LayerInfo, ...]

    @classmethod
    def of(cls, ready: Prepared, device: torch.device | str = "cpu") -> TraceTensors:
        """Copy what a trace recorded; in its own dtype that is exact."""
        manifest, steps = ready.trace.manifest, ready.request.n_decode
        dtype = DTYPES[manifest.dtype]

        def there(table: npt.NDArray[Any]) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(table)).to(device, dtype)

        return cls(
            [there(q[:, q.shape[1] - steps :]) for q in ready.q],
            [there(k) for k in ready.k],
            [there(v) for v in ready.v],
            ready.request.n_prompt,
            manifest.scale,
            manifest.layers,
        )

    @property
    def steps(self) -> int:
        """Decoding steps."""
        return int(self.q[0].shape[1])

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.k[0].device

    @property
    def dtype(self) -> torch.dtype:
        """Of all of them."""
        return self.k[0].dtype


class Executor:
    """The caches of all layers, and the log that says what becomes of them.

    Parameters
    ----------
    log : ActionLog
    tensors : TraceTensors

    Attributes
    ----------
    caches : list of LayerCache
        Of each layer; without the layers whose prompt was not taken in yet.

    Raises
    ------
    CapabilityError
        The log asks for what is not carried out here.
    UsageError
        It belongs to a trace of another shape.
    """

    def __init__(self, log: ActionLog, tensors: TraceTensors) -> None:
        layers, heads = len(tensors.k), tensors.q[0].shape[0]
        about = {"layers": layers, "heads": heads, "kv_heads": tensors.k[0].shape[0], "prompt": tensors.prompt}
        for name, here in about.items():
            if log.about.get(name) != here:
                raise UsageError(
                    f"the log belongs to another trace: its {name} is {log.about.get(name)}, the trace's {here}"
                )
        self.tensors = tensors
        self.rows = int(log.about["rows"])
        self.group = heads // self.rows
        self.repeat = self.rows // tensors.k[0].shape[0]
        self.caches: list[LayerCache] = []
        self.pinned: set[tuple[int, int, int]] = set()
        self.members: dict[tuple[int, int, int], int] = {}
        self.merges: dict[tuple[int, int, int], int] = {}
        self.shift = np.zeros((layers, self.rows), np.int64)
        self.turns = 0
        self._actions: dict[tuple[int, int], list[Action]] = {}
        for step, action in log.entries:
            for layer, part in self._by_layer(action):
                self._actions.setdefault((step, layer), []).append(part)
        self._selections = {(step, first // self.rows): chosen for step, first, chosen in log.selections}

    def _by_layer(self, action: Action) -> Iterator[tuple[int, Action]]:
        """The parts of an action that belong to each layer, with streams counted within it."""
        if isinstance(action, Evict | Pin):
            layer = action.streams // self.rows
            for one in np.unique(layer):
                mine = layer == one
                yield int(one), type(action)(action.streams[mine] % self.rows, action.ids[mine])
        elif isinstance(action, Reposition):
            layer = action.streams // self.rows
            for one in np.unique(layer):
                mine = layer == one
                yield (
                    int(one),
                    Reposition(action.streams[mine] % self.rows, action.ids[mine], action.positions[mine]),
                )
        elif isinstance(action, Merge):
            yield action.stream // self.rows, action
        else:
            raise CapabilityError(
                f"the log asks for {type(action).__name__}, which is not carried out on tensors here; "
                "Evict, Merge, Reposition, Pin and selections are"
            )

    def fill(self, layer: int) -> None:
        """Take in a layer's prompt."""
        t, n = self.tensors, self.tensors.prompt
        ids = np.tile(np.arange(n, dtype=np.int32), (self.rows, 1))
        keys, values = (
            # clone: a cache of its own, not a view of the trace
            table[:, :n].repeat_interleave(self.repeat, 0) if self.repeat > 1 else table[:, :n].clone()
            for table in (t.k[layer], t.v[layer])
        )
        self.caches.append(LayerCache(keys, values, ids, np.full(self.rows, n)))

    def append(self, layer: int, step: int) -> None:
        """Append the step's token to a layer."""
        t, newest = self.tensors, self.tensors.prompt + step
        keys, values = (table[:, newest].repeat_interleave(self.repeat, 0) for table in (t.k[layer], t.v[layer]))
        self.caches[layer] = append(self.caches[layer], newest, keys, values, self.shift[layer])

    def keys(self, layer: int) -> torch.Tensor:
        """Keys as they are attended to: where positions were changed, turned to them."""
        cache = self.caches[layer]
        return cache.keys if cache.turn is None else turned(cache.keys, cache.turn, self.tensors.layers[layer])

    def bias(self, layer: int, step: int) -> torch.Tensor | None:
        """What is added to the logits of a step."""
        cache, read = self.caches[layer], None
        for first in range(layer + 1):
            chosen: Select | None = self._selections.get((step, first))
            begin = (layer - first) * self.rows
            if chosen is not None and begin < len(chosen.read):
                read = chosen.read[begin : begin + self.rows, :, : cache.ids.shape[1]]
        return bias_of(cache, read)

    def queries(self, layer: int, step: int) -> torch.Tensor:
        """Queries of a step by the stream that they read: [rows, group, head_dim]."""
        q = self.tensors.q[layer][:, step]
        q = q.reshape(self.rows, self.group, q.shape[-1])
        by = self.shift[layer]
        return turned(q, np.repeat(by[:, None], self.group, 1), self.tensors.layers[layer]) if by.any() else q

    def evict(self, layer: int, step: int) -> None:
        """Carry out what the log says after a step, or at the prompt's end."""
        for action in self._actions.get((step, layer), []):
            if isinstance(action, Evict):
                self._refuse_pinned(layer, action)
                cache = self.caches[layer]
                self.caches[layer] = compact(cache, plan_cut(cache, action.streams, action.ids))
            elif isinstance(action, Pin):
                self.pinned |= {(layer, int(r), int(i)) for r, i in zip(action.streams, action.ids, strict=True)}
            elif isinstance(action, Merge):
                self._merge(layer, action)
            elif isinstance(action, Reposition):
                self._reposition(layer, action, self.tensors.prompt + step)

    def leaving(self, layer: int, step: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Rows and ids of all that is evicted from a layer at a step."""
        found = [action for action in self._actions.get((step, layer), []) if isinstance(action, Evict)]
        empty = np.zeros(0, np.int32)
        rows = np.concatenate([empty, *(action.streams for action in found)])
        return rows.astype(np.int32), np.concatenate([empty, *(action.ids for action in found)]).astype(np.int32)

    def _merge(self, layer: int, action: Merge) -> None:
        row = action.stream % self.rows
        everyone = [(layer, row, int(one)) for one in (*action.sources, action.into)]
        into = everyone[-1]
        held = self.caches[layer].ids[row]
        for one in everyone:
            if one[2] not in held:
                raise ActionError(f"the log merges slot {one[2]} of layer {layer}, stream {row}: it is not resident")
        self.members[into] = sum(self.members.get(one, 1) for one in everyone)
        self.merges[into] = max(self.merges.get(one, 0) for one in everyone) + 1
        self.caches[layer] = merge(self.caches[layer], row, action, self.members[into])

    def _reposition(self, layer: int, action: Reposition, newest: int) -> None:
        cache = self.caches[layer]
        turn = np.zeros(cache.ids.shape, np.int64) if cache.turn is None else cache.turn.copy()
        for row, slot, position in zip(action.streams, action.ids, action.positions, strict=True):
            turn[row, np.flatnonzero(cache.ids[row] == slot)] = position - slot
        for row in np.unique(action.streams):
            ids = cache.ids[row, : cache.count[row]]
            self.shift[layer, row] = (ids + turn[row, : len(ids)]).max() - newest
        self.turns += layer == 0
        self.caches[layer] = replace(cache, turn=turn)

    def _refuse_pinned(self, layer: int, action: Evict) -> None:
        if self.pinned:
            for row, slot in zip(action.streams, action.ids, strict=True):
                if (layer, int(row), int(slot)) in self.pinned:
                    raise ActionError(f"the log evicts slot {slot} of layer {layer}, stream {row}, which it has pinned")

    def misplaced(self, layer: int) -> int:
        """Live slots of a layer whose key or value is not, bit for bit, the one that was recorded at their position."""
        cache, t = self.caches[layer], self.tensors
        at = torch.from_numpy(np.maximum(cache.ids, 0).astype(np.int64)).to(t.device)[:, :, None]
        at = at.expand(-1, -1, cache.keys.shape[2])
        asked = cache.ids >= 0
        for of_layer, row, slot in self.members:
            if of_layer == layer:
                asked[row] &= cache.ids[row] != slot
        wrong = torch.zeros(cache.ids.shape, dtype=torch.bool, device=t.device)
        for held, recorded in ((cache.keys, t.k[layer]), (cache.values, t.v[layer])):
            wrong |= (held != recorded.repeat_interleave(self.repeat, 0).gather(1, at)).any(-1)
        return int((wrong.cpu().numpy() & asked).sum())
