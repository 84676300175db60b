"""Decoding steps to be timed: one step of a log, for so many copies of the text and so many layers, nothing left to plan.

Everything that a real server would know before the step lies on the device already: where the new token goes, what is masked,
which slots stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ....policies.kv.actions import Evict
from .cache import append, attend, bias_of, joined, plan_cut
from .steptime import Work

if TYPE_CHECKING:
    from ...attention.log import ActionLog
    from ...attention.result import AttentionRun
    from .executor import Executor

__all__ = ["LayerStep", "layer_steps", "predicted_work", "run_step", "timed_step"]

CALLS = {"eager": 6, "sdpa": 1}
"""Torch operations of one attention; one more where something is added to the logits."""


@dataclass(frozen=True)
class LayerStep:
    """One layer's part of a step, all of it on the device."""

    keys: torch.Tensor
    values: torch.Tensor
    new_keys: torch.Tensor
    new_values: torch.Tensor
    at: torch.Tensor | None
    q: torch.Tensor
    bias: torch.Tensor | None
    stay: torch.Tensor | None

    def repeated(self, times: int) -> LayerStep:
        """For so many copies of the text."""

        def more(part: torch.Tensor) -> torch.Tensor:
            return part.repeat(times, *([1] * (part.ndim - 1)))

        return LayerStep(
            more(self.keys),
            more(self.values),
            more(self.new_keys),
            more(self.new_values),
            None if self.at is None else more(self.at),
            more(self.q),
            None if self.bias is None else more(self.bias),
            # An index of one channel, stretched over all of them without taking memory, as `compact` does.
            None if self.stay is None else more(self.stay[:, :, :1]).expand(-1, -1, self.keys.shape[2]),
        )


def layer_steps(run: Executor, step: int) -> list[LayerStep]:
    """Prepare a step of all layers from the caches before it."""
    t, made = run.tensors, []
    newest = t.prompt + step
    for layer, cache in enumerate(run.caches):
        new_keys, new_values = (table[:, newest].repeat_interleave(run.repeat, 0) for table in (t.k[layer], t.v[layer]))
        after = append(cache, newest, new_keys, new_values)
        rows, ids = run.leaving(layer, step)
        stay = None
        if len(ids):
            stay = plan_cut(after, rows, ids).places[:, :, None].expand(-1, -1, cache.keys.shape[2])
        at = torch.from_numpy(cache.count).to(t.device) if cache.ragged else None
        q = run.queries(layer, step).contiguous()
        made.append(LayerStep(cache.keys, cache.values, new_keys, new_values, at, q, bias_of(after), stay))
    return made


@torch.no_grad()
def run_step(parts: list[LayerStep], scale: float, how: str) -> None:
    """Do it: append, attend, compact."""
    for part in parts:
        keys, values = joined(part.keys, part.new_keys, part.at), joined(part.values, part.new_values, part.at)
        attend(part.q, keys, values, part.bias, scale, how)
        if part.stay is not None:
            keys.gather(1, part.stay)
            values.gather(1, part.stay)


def timed_step(log: ActionLog, steps: int) -> int:
    """The step nearest to the middle after which something leaves; the middle one where nothing ever does."""
    middle = steps // 2
    busy = {step for step, action in log.entries if 0 <= step < steps}
    return min(busy, key=lambda step: (abs(step - middle), step), default=middle)


def predicted_work(run: AttentionRun, step: int, layers: int, copies: int, element_bytes: int, how: str) -> Work:
    """What the simulator says that a step does, from its counts of live slots alone.

    Parameters
    ----------
    run : AttentionRun
    step, layers, copies : int
    element_bytes : int
    how : str
    """
    rows = run.live.shape[2]
    slot = 2 * run.setting.head_dim * element_bytes * rows * copies
    leaves = _leaving(run, step)
    read = moved = calls = 0
    for layer in range(layers):
        live = run.live[step, layer].astype(np.int64)
        ragged = bool((live < live.max()).any())
        read += slot * int(live.max())
        moved += slot * (2 * int(live.max()) - 1)
        calls += 2 * (3 if ragged else 1) + CALLS[how] + ragged
        if leaves[layer].any():
            moved += slot * 2 * int((live - leaves[layer]).max())
            calls += 2
    return Work(read, moved, calls)


def _leaving(run: AttentionRun, step: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Slots that leave each stream after a step: [layers, rows]."""
    _, layers, rows = run.live.shape
    gone = np.zeros(layers * rows, np.int64)
    for action in run.log.of_step(step):
        if isinstance(action, Evict):
            np.add.at(gone, action.streams, 1)
    return gone.reshape(layers, rows)
