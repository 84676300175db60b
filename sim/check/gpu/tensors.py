"""Carry an action log out on real tensors: allocate, append, attend, compact, layer by layer, as a model would.

The log is all that is known of the policy. What it says is done when the simulator says so: a step's queries attend first, then
slots leave, those that slide out of a layer's window among them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from ...attention.log import PROMPT, ActionLog
from .cache import ATTENTIONS, attend
from .executor import Executor, TraceTensors
from .measure import Memory
from .rounding import output_bound

__all__ = ["Execution", "execute"]


@dataclass
class Execution:
    """What carrying out a log has shown.

    Attributes
    ----------
    seen : list of list of int32[rows, slots]
        Of each step, of each layer: the ids that its queries read from.
    misplaced : int
        Slots, over all steps, that did not hold the key and value of their position.
    out : dict of str to float32[steps, layers, heads, head_dim]
        Attention outputs, by the way they were computed.
    resident_bytes, peak_bytes : int64[steps + 1]
        Of live slots: after the prompt and each step, and the most at any moment before slots leave.
    padding_bytes : int
        The most that padding took at any of these moments.
    mass_bytes : int
        The most that the masses of merged slots took.
    allocator_bytes : int or None
        The most that CUDA's allocator held for the caches, in its own blocks.
    compacting_bytes : int or None
        The most that it held at all, with old and new tensors side by side while one is compacted; None off CUDA.
    bound : float64[steps, layers, heads]
        The most that rounding may have moved an output, here and in the simulator; see `rounding`.
    """

    seen: list[list[npt.NDArray[np.int32]]] = field(default_factory=list)
    misplaced: int = 0
    out: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    resident_bytes: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    peak_bytes: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    padding_bytes: int = 0
    mass_bytes: int = 0
    allocator_bytes: int | None = None
    compacting_bytes: int | None = None
    bound: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


@torch.no_grad()
def execute(
    log: ActionLog,
    tensors: TraceTensors,
    *,
    attentions: tuple[str, ...] = ATTENTIONS,
    whole_prompt: bool = False,
    before_step: Callable[[Executor, int], None] | None = None,
    last: int | None = None,
) -> Execution:
    """Carry out a log and measure.

    Parameters
    ----------
    log : ActionLog
    tensors : TraceTensors
    attentions : tuple of str
        How to attend; with none, only slots and bytes are followed.
    whole_prompt : bool
        Whether the policy cuts when the last layer has seen the prompt, rather than layer by layer.
    before_step : callable (Executor, step), optional
        Shown the caches before each decoding step. They may be kept: nothing is changed in place. What is kept, though,
        takes memory, so measure bytes without it.
    last : int, optional
        The last step to carry out.

    Raises
    ------
    ActionError
        The log asks for what cannot be done, such as evicting a slot that is not there.
    CapabilityError, UsageError
        See `Executor`.
    """
    run, made = Executor(log, tensors), Execution()
    steps = tensors.steps if last is None else min(last + 1, tensors.steps)
    layers = len(tensors.k)
    heads, dim = tensors.q[0].shape[0], tensors.q[0].shape[2]
    made.out = {how: np.zeros((steps, layers, heads, dim), np.float32) for how in attentions}
    made.bound = np.zeros((steps, layers, heads))
    memory = Memory(tensors.device)

    def held() -> int:
        total, padding = memory.held(run.caches), sum(cache.padding_bytes for cache in run.caches)
        mass = sum(cache.mass_bytes for cache in run.caches)
        made.padding_bytes, made.mass_bytes = max(made.padding_bytes, padding), max(made.mass_bytes, mass)
        return total - padding - mass

    peaks = [0]
    for layer in range(layers):
        run.fill(layer)
        peaks[0] = max(peaks[0], held())
        if not whole_prompt:
            run.evict(layer, PROMPT)
    if whole_prompt:
        for layer in range(layers):
            run.evict(layer, PROMPT)
    resident = [held()]
    for step in range(steps):
        if before_step is not None:
            before_step(run, step)
        made.seen.append([])
        peaks.append(0)
        for layer in range(layers):
            run.append(layer, step)
            peaks[-1] = max(peaks[-1], held())
            made.seen[-1].append(run.caches[layer].ids)
            if attentions:
                _attend(run, made, layer, step)
            run.evict(layer, step)
        resident.append(held())
    made.resident_bytes, made.peak_bytes = np.array(resident, np.int64), np.array(peaks, np.int64)
    made.allocator_bytes, made.compacting_bytes = memory.blocks, memory.most()
    return made


def _attend(run: Executor, made: Execution, layer: int, step: int) -> None:
    """Attend in every way that is asked for; nothing stays on the device, for the next sample of bytes would count it."""
    cache, scale = run.caches[layer], run.tensors.scale
    q, keys, bias = run.queries(layer, step), run.keys(layer), run.bias(layer, step)
    for how, outputs in made.out.items():
        out = attend(q, keys, cache.values, bias, scale, how)
        outputs[step, layer] = out.reshape(outputs.shape[2:]).float().cpu().numpy()
    merges = max(run.merges.values(), default=0)
    bound = output_bound(q, keys, cache.values, bias, scale, merges=merges, turns=run.turns)
    made.bound[step, layer] = bound.flatten().cpu().numpy()
    made.misplaced += run.misplaced(layer)
