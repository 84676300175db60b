"""What the simulator says of an attention cache, beside real tensors that the same action log was carried out on.

For each policy and budget five things are compared: the slots that every step's queries read, the bytes that live slots take,
the most of them, the output error against the full cache, and the time of a step. The first three must be equal, the error may
differ by what rounding can do (`gpu.rounding`), and the time is predicted for policies and budgets that were not fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...policies.kv.actions import Evict
from ...policies.kv.registry import KVPolicy, parse_kv_policy
from ...traces.errors import CapabilityError
from ..attention.errors import ActionError
from ..attention.log import PROMPT, ActionLog
from ..attention.replay import Prepared, prepare, replay_attention
from ..attention.result import AttentionRun
from .gpu.cache import ATTENTIONS
from .gpu.compare import bytes_rows, error_row, row_of, sets_row
from .gpu.executor import TraceTensors
from .gpu.measure import device_name, exact_products, find_device
from .gpu.seen import Seen, watched
from .gpu.steptime import StepTime
from .gpu.tensors import Execution, execute
from .gpu.timing import StepTiming, calibrated, time_steps

if TYPE_CHECKING:
    from ...policies.kv.protect import Protect
    from ...traces.attention import AttentionTrace

__all__ = ["TIME_TOLERANCE", "AttentionCheck", "Ground", "Prediction", "check_attention", "check_log", "predict"]

TIME_TOLERANCE = 0.25
"""Relative difference of step times up to which a prediction counts as good."""

COPIES = {"cpu": (1, 4, 16), "cuda": (1, 64, 256, 1024)}
"""Copies of the text at a time: one text alone leaves a GPU waiting for calls, and few of them fit its second-level cache."""

FAILURES = ("differs", "failed")
"""Verdicts of a row that the tensors contradict."""


@dataclass(frozen=True)
class Prediction:
    """What the simulator says of one policy and budget.

    Attributes
    ----------
    run : AttentionRun
    seen : list of int32[streams, slots]
        Of each step: what its queries found, from the engine's own slots and not from its log.
    whole_prompt : bool
        Whether nothing leaves before the last layer has seen the prompt.
    """

    run: AttentionRun
    seen: Seen
    whole_prompt: bool


@dataclass(frozen=True)
class Ground:
    """What all policies are measured against on one device.

    Attributes
    ----------
    ready : Prepared
    tensors : TraceTensors
    full : Execution
        Of the uncompressed cache.
    """

    ready: Prepared
    tensors: TraceTensors
    full: Execution

    @classmethod
    def of(cls, trace: AttentionTrace | Prepared, device: torch.device | str = "cpu", request: int = 0) -> Ground:
        """Compute and execute the uncompressed cache; it also wakes the libraries, so that no workspace is counted later."""
        ready = trace if isinstance(trace, Prepared) else prepare(trace, request)
        tensors = TraceTensors.of(ready, device)
        log = predict(ready, "full", "100%").run.log
        first = np.arange(len(tensors.k), dtype=np.int32) * int(log.about["rows"])
        uneven = ActionLog(log.about, [(PROMPT, Evict(first, np.zeros_like(first)))])
        for each in (log, uneven):
            execute(each, tensors, last=1)
        return cls(ready, tensors, execute(log, tensors))


@dataclass(frozen=True)
class AttentionCheck:
    """All rows of a check.

    Attributes
    ----------
    rows : list of dict
        Policy, budget, protect, quantity, unit, predicted, measured, difference, tolerance, verdict and, where they apply,
        copies, layers, iqr, padding_bytes, allocator_bytes, compacting_bytes.
    steptime : StepTime or None
        Fitted on the calibration half, or given.
    device : str
        What it is called.
    kind : {"cpu", "cuda"}
    time_tolerance : float
    """

    rows: list[dict[str, Any]]
    steptime: StepTime | None
    device: str
    kind: str
    time_tolerance: float = TIME_TOLERANCE

    @property
    def failed(self) -> list[dict[str, Any]]:
        """Rows whose prediction the tensors contradict."""
        return [row for row in self.rows if row["verdict"] in FAILURES]

    @property
    def time_error(self) -> float:
        """Median relative error of the step times that were not fitted; NaN where there is none."""
        held = [row["relative"] for row in self.rows if row["verdict"] in ("close", "off")]
        return float(np.median(held)) if held else float("nan")

    @property
    def passed(self) -> bool:
        """Whether nothing was contradicted. Times count on a GPU only: a processor has other work to do."""
        return not self.failed and (self.kind == "cpu" or not self.time_error > self.time_tolerance)


def predict(
    ready: Prepared, policy: str | KVPolicy, budget: str | int, protect: str | Protect = "none", seed: int = 0
) -> Prediction:
    """Simulate one policy, and keep what its slots held."""
    chosen = parse_kv_policy(policy)
    seen: Seen = []
    run = replay_attention(ready, watched(chosen, seen), str(budget), protect=protect, seed=seed)
    return Prediction(run, seen, chosen.whole_prompt)


def check_log(
    told: Prediction, ground: Ground, log: ActionLog | None = None, attentions: Sequence[str] = ATTENTIONS
) -> list[dict[str, Any]]:
    """Carry out a log and compare it with what the simulator said.

    Parameters
    ----------
    told : Prediction
    ground : Ground
    log : ActionLog, optional
        Another one than the prediction's, for example read from a file.
    attentions : sequence of {"eager", "sdpa"}

    Returns
    -------
    list of dict
        One row per quantity.
    """
    run = told.run
    about = {"policy": run.policy, "budget": run.budget, "protect": run.protect}
    try:
        done = execute(log or run.log, ground.tensors, attentions=tuple(attentions), whole_prompt=told.whole_prompt)
    except CapabilityError as error:
        return [about | row_of("log", "", verdict=f"not checked: {error}")]
    except ActionError as error:
        return [about | row_of("log", "", verdict="failed") | {"why": str(error)}]
    rows = [sets_row(told, done), *bytes_rows(run, done)]
    rows += [error_row(told, ground, done, how) for how in attentions]
    return [about | row for row in rows]


def check_attention(
    trace: AttentionTrace | Prepared,
    policies: Iterable[str | KVPolicy],
    budgets: Iterable[str | int],
    device: str = "cpu",
    *,
    protect: str | Protect = "none",
    seed: int = 0,
    request: int = 0,
    attention: str = "sdpa",
    repeats: int = 30,
    copies: Sequence[int] | None = None,
    steptime: StepTime | None = None,
    time_tolerance: float = TIME_TOLERANCE,
    progress: Callable[[int], None] | None = None,
) -> AttentionCheck:
    """Simulate, execute and compare each policy with each budget.

    Parameters
    ----------
    trace : AttentionTrace or Prepared
    policies, budgets : iterable
        As in `replay_attention`.
    device : {"cpu", "cuda", "cuda:1", ...}
    protect : str or Protect
    seed, request : int
    attention : {"eager", "sdpa"}
        How timed steps attend; outputs are compared for both.
    repeats : int
        Of each timed step, after some that do not count. 0 times nothing.
    copies : sequence of int, optional
        Copies of the text at a time, for timed steps.
    steptime : StepTime, optional
        Coefficients from before; else every second policy and budget is fitted, and the others are predicted.
    time_tolerance : float
        Relative.
    progress : callable (int), optional
        Told of each policy and budget that is done.

    Raises
    ------
    UsageError
        The device is not there, or a budget lies below what is protected.
    CapabilityError
        The model caps its logits.
    """
    where = find_device(device)
    rows: list[dict[str, Any]] = []
    times: list[StepTiming] = []
    budgets = list(budgets)
    with exact_products():
        ground = Ground.of(trace, where, request)
        for policy in map(parse_kv_policy, policies):
            for budget in ("100%",) if policy.spec.name == "full" else budgets:
                try:
                    told = predict(ground.ready, policy, budget, protect, seed)
                except CapabilityError as error:
                    about = {"policy": policy.label, "budget": str(budget), "protect": str(protect)}
                    rows.append(about | row_of("log", "", verdict=f"not checked: {error}"))
                else:
                    found = check_log(told, ground)
                    rows += found
                    if repeats and found[0]["quantity"] != "log":
                        times += time_steps(told.run, ground.tensors, copies or COPIES[where.type], repeats, attention)
                if progress is not None:
                    progress(1)
    name = device_name(where)
    if steptime is None and times:
        steptime = calibrated(times, device=name, dtype=ground.ready.trace.manifest.dtype, attention=attention)
    rows += [timing.row(steptime, time_tolerance) for timing in times]
    return AttentionCheck(rows, steptime, name, where.type, time_tolerance)
