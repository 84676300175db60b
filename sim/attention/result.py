"""What a replay of recorded attention found: one run with its arrays, and the row that tables are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...policies.kv.needs import Needs
from ...policies.kv.registry import KVPolicy
from ...policies.kv.setting import Setting
from ...traces.attention import AttentionRequest, AttentionTrace
from .budget import Budget
from .log import ActionLog

if TYPE_CHECKING:
    from .engine import Engine
    from .metrics import Meter

__all__ = ["AttentionRun", "worst"]

TAIL = 0.05
"""The share of the queries that counts as the worst ones."""


@dataclass(frozen=True, repr=False)
class AttentionRun:
    """One policy with one budget on one request.

    Attributes
    ----------
    policy, budget, protect : str
    setting : Setting
    trace, request : str
    log : ActionLog
    mass, mass_beyond_sink, error, recall : float[steps, layers, heads]
        See `evictlab.sim.attention.metrics.Meter`.
    projected_error, projected_l1 : float[steps, layers]
    live : int32[steps, layers, rows]
        Slots that a step's queries found.
    resident_bytes, peak_bytes : int64[steps + 1]
        Keys and values after the prompt and after each step, and the most at any moment of it.
    read_bytes : int64[steps]
        Keys, values and what a selection consults, read by the queries of a step.
    metadata_bytes : int
        The most that the policy itself kept beside the slots: numbers per slot, and queries to be asked again. What scoring
        needs for a moment is not in it.
    full_bytes : int
        Keys and values of the uncompressed cache at the end; a layer with a sliding window holds that much of it.
    decisions : str
        Where what was decided is what the policy would decide in the model: ``"all layers"`` or ``"layer 0"``.
    missing_queries : int
        Queries of the prompt that the policy would have looked at and that were not recorded.
    oracle, prompt_only : bool
    """

    policy: str
    budget: str
    protect: str
    setting: Setting
    trace: str
    request: str
    log: ActionLog
    mass: npt.NDArray[np.float64]
    mass_beyond_sink: npt.NDArray[np.float64]
    error: npt.NDArray[np.float64]
    recall: npt.NDArray[np.float64]
    projected_error: npt.NDArray[np.float64]
    projected_l1: npt.NDArray[np.float64]
    live: npt.NDArray[np.int32]
    resident_bytes: npt.NDArray[np.int64]
    peak_bytes: npt.NDArray[np.int64]
    read_bytes: npt.NDArray[np.int64]
    metadata_bytes: int
    full_bytes: int
    decisions: str
    missing_queries: int
    oracle: bool
    prompt_only: bool

    @classmethod
    def collect(
        cls,
        trace: AttentionTrace,
        request: AttentionRequest,
        policy: KVPolicy,
        budget: Budget,
        setting: Setting,
        engine: Engine,
        meter: Meter,
    ) -> AttentionRun:
        """Gather what engine and meter found."""
        slot_bytes = 2 * setting.head_dim * engine.slots.element_bytes
        engine.log.about.update(
            policy=policy.label,
            budget=budget.text,
            budget_slots=setting.budget,
            protect=str(setting.protect),
            seed=setting.seed,
            trace=trace.name,
            trace_sha256=trace.sha256,
            request=request.id,
            layers=setting.layers,
            heads=setting.heads,
            kv_heads=setting.kv_heads,
            rows=engine.rows,
            prompt=setting.prompt,
            capacity=setting.capacity,
        )
        return cls(
            policy=policy.label,
            budget=budget.text,
            protect=str(setting.protect),
            setting=setting,
            trace=trace.name,
            request=str(request.id),
            log=engine.log,
            mass=meter.mass,
            mass_beyond_sink=meter.mass_beyond_sink,
            error=meter.error,
            recall=meter.recall,
            projected_error=meter.projected_error,
            projected_l1=meter.projected_l1,
            live=meter.live,
            resident_bytes=np.array(engine.account.resident_bits, np.int64) // 8,
            peak_bytes=np.array(engine.account.peak_bits, np.int64) // 8,
            read_bytes=np.array(engine.account.read_bits, np.int64) // 8,
            metadata_bytes=_metadata(policy, setting, meter.live, slot_bytes),
            full_bytes=sum(
                setting.kv_heads * min(setting.capacity, window or setting.capacity) * slot_bytes
                for window in engine.windows
            ),
            # Who reads nothing but positions decides alike whatever a layer's inputs are.
            decisions="all layers" if policy.prompt_only or policy.needs() == Needs() else "layer 0",
            missing_queries=engine.missing_queries,
            oracle=policy.oracle,
            prompt_only=policy.prompt_only,
        )

    def row(self) -> dict[str, Any]:
        """One row of a table: means over steps, layers and heads, and the worst `TAIL` of the queries of each head.

        Its fidelity is L1: the error of one layer is exact, given true queries. Decisions are L0, those of the real model, in
        the layers that ``decisions_as_in_model`` names.
        """
        beyond = self.mass_beyond_sink[np.isfinite(self.mass_beyond_sink)]
        return {
            "trace": self.trace,
            "request": self.request,
            "policy": self.policy,
            "budget": self.budget,
            "protect": self.protect,
            "seed": self.setting.seed,
            "budget_slots": self.setting.budget,
            "mass": float(self.mass.mean()),
            "mass_beyond_sink": float(beyond.mean()) if len(beyond) else float("nan"),
            "mass_worst": worst(self.mass, low=True),
            "recall": float(self.recall.mean()),
            "output_error": float(self.error.mean()),
            "output_error_worst": worst(self.error, low=False),
            "projected_error": float(self.projected_error.mean()),
            "projected_l1_error": float(self.projected_l1.mean()),
            "live_slots": float(self.live.mean()),
            "resident_bytes": int(self.resident_bytes.mean()),
            "peak_bytes": int(self.peak_bytes.max()),
            "decode_peak_bytes": int(self.peak_bytes[1:].max()),
            "metadata_bytes": self.metadata_bytes,
            "read_bytes_per_step": int(self.read_bytes.mean()),
            "full_bytes": self.full_bytes,
            "evictions": self.log.evictions,
            "fidelity": "L1",
            "decisions_as_in_model": self.decisions,
            "missing_prompt_queries": self.missing_queries,
            "oracle": self.oracle,
            "prompt_only": self.prompt_only,
        }

    def _repr_html_(self) -> str:
        import pandas as pd

        return str(pd.Series(self.row(), name=self.policy).to_frame().to_html())

    def __repr__(self) -> str:
        row = self.row()
        return (
            f"AttentionRun({self.policy}, budget={self.budget}, mass={row['mass']:.3f}, "
            f"output_error={row['output_error']:.3f}, resident={row['resident_bytes']:,} B of {self.full_bytes:,} B)"
        )


def _metadata(policy: KVPolicy, setting: Setting, live: npt.NDArray[np.int32], slot_bytes: int) -> int:
    slots = int(live.reshape(len(live), -1).sum(1).max())
    queries = policy.kept_queries * setting.layers * setting.sequences * setting.heads * (slot_bytes // 2)
    return int(policy.metadata_of(slot_bytes) * slots) + queries


def worst(values: npt.NDArray[np.float64], low: bool) -> float:
    """The mean of the worst queries: of each head over its steps, then over heads and layers."""
    ordered = np.sort(values, axis=0)
    taken = max(round(len(ordered) * TAIL), 1)
    return float((ordered[:taken] if low else ordered[len(ordered) - taken :]).mean())
