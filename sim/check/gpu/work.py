"""What the simulator says that a decoding step does: bytes read and moved, and calls. No torch is needed to say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ....policies.kv.actions import Evict, Pin
from .steptime import StepTime, Work

if TYPE_CHECKING:
    from ...attention.result import AttentionRun

__all__ = ["CALLS", "predicted_work", "step_seconds"]

CALLS = {"eager": 6, "sdpa": 1}
"""Torch operations of one attention; one more where something is added to the logits."""


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


def step_seconds(run: AttentionRun, times: StepTime) -> float:
    """What a decoding step takes of the recorded layers, mean over the run's steps.

    NaN where a part of the slots is read, or slots merge or are turned: such steps were never measured.

    Parameters
    ----------
    run : AttentionRun
    times : StepTime
        Of a device and dtype.
    """
    if run.log.selections or any(not isinstance(action, Evict | Pin) for _, action in run.log.entries):
        return float("nan")
    steps, layers, _ = run.live.shape
    size = 4 if times.dtype == "float32" else 2
    works = [predicted_work(run, step, layers, 1, size, times.attention or "sdpa") for step in range(steps)]
    return float(np.mean([times.predict(work) for work in works]))
