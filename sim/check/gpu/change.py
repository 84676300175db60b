"""What changes slots without evicting them: merging, and turning keys to other positions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from ....policies.kv.actions import Merge
from ....traces.attention.manifest import LayerInfo
from ....traces.attention.rotary import rotate_pairs
from .cache import LayerCache, compact, plan_cut

__all__ = ["merge", "turned"]


def merge(cache: LayerCache, row: int, action: Merge, members: int) -> LayerCache:
    """Put several slots of one stream into one of them, computed in float32 and stored in the model's dtype.

    Parameters
    ----------
    cache : LayerCache
    row : int
        The stream's number within its layer.
    action : Merge
    members : int
        Tokens that the slot stands for afterwards.
    """
    everyone = np.append(action.sources, action.into)
    at = np.array([np.flatnonzero(cache.ids[row] == one)[0] for one in everyone])
    keys, values, into = cache.keys.clone(), cache.values.clone(), int(at[-1])
    for table, weights, scale in (
        (keys, action.key_weights, 1),
        (values, action.value_weights, members if action.mass == "scale" else 1),
    ):
        share = torch.as_tensor(weights, dtype=torch.float32, device=table.device)
        held = table[row, torch.from_numpy(at).to(table.device)].float()
        table[row, into] = (share @ held * scale).to(table.dtype)
    mass = cache.mass
    if action.mass == "bias":
        mass = torch.zeros(cache.ids.shape, device=keys.device) if mass is None else mass.clone()
        mass[row, into] = float(np.log(members))
    changed = replace(cache, keys=keys, values=values, mass=mass)
    return compact(changed, plan_cut(changed, np.full(len(action.sources), row, np.int32), action.sources))


def turned(x: torch.Tensor, by: npt.NDArray[np.int64], layer: LayerInfo) -> torch.Tensor:
    """Turn queries or keys by so many positions: in float32, then rounded to their dtype.

    Parameters
    ----------
    x : Tensor [rows, n, head_dim]
    by : int64[rows, n]
    layer : LayerInfo
        How the layer rotates.
    """
    dim = layer.rotary_dim
    angles = by[:, :, None] * layer.rope_theta ** (-np.arange(0, dim, 2) / max(dim, 1))
    cos, sin = (torch.from_numpy(part(angles).astype(np.float32)).to(x.device) for part in (np.cos, np.sin))
    one, other = (torch.from_numpy(part).to(x.device) for part in rotate_pairs(dim, layer.pairing))
    made = x.float()  # a new tensor, except for float32
    a, b = made[..., one], made[..., other]
    made = made.clone()
    made[..., one], made[..., other] = a * cos - b * sin, b * cos + a * sin
    return made.to(x.dtype)
