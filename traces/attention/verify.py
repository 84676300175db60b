"""Whether a trace is what the model computed: its log-sum-exps, computed again from q and k, and compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from .causal import softmax_sums
from .layer import LayerTensors, from_bfloat16
from .manifest import LayerInfo, Manifest
from .request import AttentionRequest
from .trace import AttentionTrace

__all__ = ["TOLERANCES", "LayerCheck", "Verification", "verify_attention"]

TOLERANCES = {"float32": 1e-3, "float16": 2e-2, "bfloat16": 1.5e-1}
"""Largest difference of a log-sum-exp, in nats.

Rounding the queries and keys of SmolLM2-135M once more moves it by at most 0.01 (float16) and 0.06 (bfloat16)
in the ten layers that were tried. A wrong scale, pairing, position or head moves it by whole nats.
"""

COLUMN_TOLERANCE = 1e-3
"""Relative difference between a head's column sums and the number of prompt queries, each of which hands out 1."""


@dataclass(frozen=True)
class LayerCheck:
    """One layer of one request.

    Attributes
    ----------
    request : str
    layer : int
        Index in the model.
    queries : int
        Recorded ones.
    lse_error : float or None
        Largest difference in nats; None where no log-sum-exp is stored.
    column_error : float or None
        Largest relative difference; against `columns` computed again where every query of the prompt is
        recorded, else of each head's total only. None where none are stored.
    not_finite : int
        Numbers in any tensor that are NaN or infinite.
    problem : str
        Why the layer fails; empty if it does not.
    """

    request: str
    layer: int
    queries: int = 0
    lse_error: float | None = None
    column_error: float | None = None
    not_finite: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Verification:
    """What the checks of all layers found.

    Attributes
    ----------
    checks : tuple of LayerCheck
    tolerance : float
        Nats.
    """

    checks: tuple[LayerCheck, ...]
    tolerance: float

    @property
    def ok(self) -> bool:
        """No layer fails; says nothing of exactness where `verdict` is ``"unchecked"``."""
        return not any(check.problem for check in self.checks)

    @property
    def verdict(self) -> str:
        """``"exact"``, ``"wrong"``, or ``"unchecked"`` where nothing fails and a layer has nothing to compare with."""
        if not self.ok:
            return "wrong"
        return "unchecked" if any(check.lse_error is None for check in self.checks) else "exact"

    @property
    def max_lse_error(self) -> float | None:
        """Largest of all layers, in nats; None if none stores a log-sum-exp."""
        return max((check.lse_error for check in self.checks if check.lse_error is not None), default=None)

    def __str__(self) -> str:
        if self.verdict == "wrong":
            wrong = [check for check in self.checks if check.problem]
            lines = [f"request {check.request}, layer {check.layer}: {check.problem}" for check in wrong[:10]]
            more = [f"and {len(wrong) - 10} more"] if len(wrong) > 10 else []
            return "\n".join([f"wrong: {len(wrong)} of {len(self.checks)} layers fail", *lines, *more])
        if self.verdict == "unchecked":
            return (
                "unchecked: shapes and numbers are sound; no log-sum-exp is stored, so nothing shows what the model saw"
            )
        return f"exact: the largest difference of a log-sum-exp is {self.max_lse_error:.2g} nats (at most {self.tolerance:g})"


def verify_attention(trace: AttentionTrace) -> Verification:
    """Check every layer of every request; a damaged one is reported, not raised.

    Parameters
    ----------
    trace : AttentionTrace
    """
    tolerance = TOLERANCES[trace.manifest.dtype]
    checks = []
    for request in trace.requests:
        for i, info in enumerate(trace.manifest.layers):
            try:
                layer = request.layers[i]
                wo = trace.wo(i)
            except FormatError as error:
                checks.append(LayerCheck(request.id, info.index, problem=str(error)))
            else:
                checks.append(_check(request, info, layer, wo, trace.manifest, tolerance))
    return Verification(tuple(checks), tolerance)


def _check(
    request: AttentionRequest,
    info: LayerInfo,
    layer: LayerTensors,
    wo: npt.NDArray[np.float32] | None,
    manifest: Manifest,
    tolerance: float,
) -> LayerCheck:
    queries = int(layer.q.shape[1])
    if bad := _not_finite(layer, wo):
        counts = ", ".join(f"{count:,} in {name}" for name, count in bad.items())
        problem = f"numbers that are not finite: {counts}"
        return LayerCheck(request.id, info.index, queries, not_finite=sum(bad.values()), problem=problem)
    lse_error = column_error = None
    problems = []
    if layer.lse is not None or layer.columns is not None:
        lse, columns = softmax_sums(
            layer.q32(),
            layer.k32(),
            manifest.scale,
            window=info.window,
            softcap=manifest.softcap,
            n_prompt=request.n_prompt,
        )
    if layer.lse is not None:
        lse_error = float(np.abs(lse - layer.lse).max())
        if lse_error > tolerance:
            problems.append(_explain(lse - layer.lse, layer, tolerance))
    if layer.columns is not None:
        # Each weight moves by about the same share as exp(lse), hence the nats as a relative bound.
        total = layer.columns.sum(axis=1, dtype=np.float64)
        column_error = float(np.abs(total / request.n_prompt - 1).max())
        if column_error > COLUMN_TOLERANCE:
            problems.append(
                f"columns of a head add up to {total[np.abs(total - request.n_prompt).argmax()]:.1f}, and "
                f"{request.n_prompt} queries of the prompt hand out 1 each"
            )
        elif layer.q_start == 0:
            column_error = float((np.abs(columns - layer.columns) / np.maximum(columns, 1)).max())
            if column_error > tolerance:
                problems.append(f"columns differ by {column_error:.2g} from those of the recorded queries")
    return LayerCheck(request.id, info.index, queries, lse_error, column_error, 0, "; ".join(problems))


def _explain(difference: np.ndarray, layer: LayerTensors, tolerance: float) -> str:
    head, row = np.unravel_index(np.abs(difference).argmax(), difference.shape)
    share = float((np.abs(difference) > tolerance).mean())
    return (
        f"the log-sum-exp of head {head} at position {layer.q_start + row} differs by {abs(difference[head, row]):.3g} nats "
        f"(at most {tolerance:g}), and {share:.0%} of them do: look at scale, pairing, window and the order of heads"
    )


def _not_finite(layer: LayerTensors, wo: npt.NDArray[np.float32] | None) -> dict[str, int]:
    """Numbers that are NaN or infinite, by tensor; those without any are left out."""
    found = {}
    for name, array in (layer.named() | ({} if wo is None else {"wo": wo})).items():
        bits = layer.bfloat16 and array.dtype == np.uint16
        count = int((~np.isfinite(from_bfloat16(array) if bits else array)).sum())
        if count:
            found[name] = count
    return found
