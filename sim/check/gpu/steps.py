"""Decoding steps to be timed: one step of a log, for so many copies of the text and so many layers, nothing left to plan.

Everything that a real server would know before the step lies on the device already: where the new token goes, what is masked,
which slots stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from .cache import append, attend, bias_of, joined, plan_cut

if TYPE_CHECKING:
    from ...attention.log import ActionLog
    from .executor import Executor

__all__ = ["LayerStep", "layer_steps", "run_step", "timed_step"]


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
