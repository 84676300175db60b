"""Measured step times beside the simulator's: half of the measured steps is fitted, the other half is predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ....policies.kv.actions import Evict, Pin
from ....traces.errors import UsageError
from ...attention.result import AttentionRun
from .executor import Executor, TraceTensors
from .measure import Timing, timed
from .steps import LayerStep, layer_steps, run_step, timed_step
from .steptime import StepTime, Work, fit_step_time
from .tensors import execute
from .work import predicted_work

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["StepTiming", "calibrated", "time_steps"]

LEAST = 5
"""Different amounts of work, by policy and budget, from which a fit and a prediction make sense."""


@dataclass
class StepTiming:
    """One step, measured.

    Attributes
    ----------
    policy, budget, protect : str
    copies, layers : int
        Copies of the text at a time, and layers (the first ones) that were run.
    work : Work
        As the simulator predicts it.
    timing : Timing
    fitted : bool
        Whether the coefficients were fitted to it.
    """

    policy: str
    budget: str
    protect: str
    copies: int
    layers: int
    work: Work
    timing: Timing
    fitted: bool = False

    def row(self, steptime: StepTime | None, tolerance: float) -> dict[str, Any]:
        """As a row of the check's table."""
        measured = self.timing.median_s
        predicted = float("nan") if steptime is None else steptime.predict(self.work)
        off = abs(predicted - measured)
        if steptime is None:
            verdict = "not fitted"
        elif self.fitted:
            verdict = "fitted"
        else:
            verdict = "close" if off <= tolerance * measured else "off"
        return {
            "policy": self.policy,
            "budget": self.budget,
            "protect": self.protect,
            "quantity": f"step time, {self.copies} x {self.layers} layers",
            "unit": "s",
            "predicted": predicted,
            "measured": measured,
            "difference": off,
            "tolerance": tolerance * measured,
            "verdict": verdict,
            "relative": off / measured,
            "copies": self.copies,
            "layers": self.layers,
            "iqr_s": self.timing.iqr_s,
            "repeats": self.timing.repeats,
            "read_bytes": self.work.read_bytes,
            "moved_bytes": self.work.moved_bytes,
            "calls": self.work.calls,
        }


def time_steps(
    run: AttentionRun, tensors: TraceTensors, copies: Sequence[int], repeats: int, how: str = "sdpa"
) -> list[StepTiming]:
    """Time one decoding step of a policy, for some numbers of copies with all layers, and once with fewer layers.

    Logs with selections, merges or changed positions are not timed: the first are carried out as a mask, which saves nothing,
    and the others are worked out by the host.
    """
    if run.log.selections or any(not isinstance(action, Evict | Pin) for _, action in run.log.entries):
        return []
    step = timed_step(run.log, tensors.steps)
    kept: list[LayerStep] = []

    def keep(executor: Executor, now: int) -> None:
        if now == step:
            kept.extend(layer_steps(executor, step))

    execute(run.log, tensors, attentions=(), before_step=keep, last=step)
    layers = len(kept)
    sizes = [(many, layers) for many in copies]
    if layers > 1:
        sizes.append((copies[len(copies) // 2], max(layers // 3, 1)))
    found = []
    for many, part in sizes:
        work = predicted_work(run, step, part, many, tensors.k[0].element_size(), how)
        if tensors.device.type == "cuda" and 4 * work.read_bytes > torch.cuda.mem_get_info(tensors.device)[0]:
            continue  # what is kept, a layer appended and closed up, and room
        parts = [one.repeated(many) for one in kept[:part]]
        with torch.no_grad():
            timing = timed(lambda parts=parts: run_step(parts, tensors.scale, how), tensors.device, repeats=repeats)  # type: ignore[misc]
        found.append(StepTiming(run.policy, run.budget, run.protect, many, part, work, timing))
        del parts
    return found


def calibrated(times: Iterable[StepTiming], **about: Any) -> StepTime | None:
    """Fit every second amount of work, the largest first, and mark what was fitted.

    Policies that do the same work with the same budget lie on the same side: else they would be predicted by themselves. Steps
    that close up and steps that only append are divided each for themselves, for one kind cannot tell what the other costs.

    Returns
    -------
    StepTime or None
        None where too little was measured to fit and to predict.
    """
    pairs: dict[tuple[str, str], list[StepTiming]] = {}
    for timing in times:
        pairs.setdefault((timing.policy, timing.budget), []).append(timing)
    alike: dict[tuple[Work, ...], list[StepTiming]] = {}
    for some in pairs.values():
        alike.setdefault(tuple(one.work for one in some), []).extend(some)
    if len(alike) < LEAST:
        return None
    ordered = sorted(alike.values(), key=lambda some: -max(one.work.read_bytes for one in some))
    kinds = ([some for some in ordered if some[0].work.closes_up is which] for which in (True, False))
    chosen = [timing for kind in kinds for some in kind[::2] for timing in some]
    try:
        fitted = fit_step_time(
            [one.work for one in chosen], [one.timing.median_s for one in chosen], torch=torch.__version__, **about
        )
    except UsageError:
        return None
    for one in chosen:
        one.fitted = True
    return fitted
