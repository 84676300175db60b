"""Rows of a check: what was predicted, what was measured, how far they are apart and how far they may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...attention.result import AttentionRun
from .rounding import error_bound
from .tensors import Execution

if TYPE_CHECKING:
    from ..attention import Ground, Prediction

__all__ = ["bytes_rows", "error_row", "row_of", "sets_row"]


def row_of(
    quantity: str,
    unit: str,
    predicted: float = float("nan"),
    measured: float = float("nan"),
    difference: float = 0.0,
    tolerance: float = 0.0,
    verdict: str = "",
    **more: Any,
) -> dict[str, Any]:
    """Return one row; without a verdict, it follows from difference and tolerance."""
    if not verdict:
        verdict = ("same" if tolerance == 0 else "within") if difference <= tolerance else "differs"
    return {
        "quantity": quantity,
        "unit": unit,
        "predicted": predicted,
        "measured": measured,
        "difference": difference,
        "tolerance": tolerance,
        "verdict": verdict,
        **more,
    }


def sets_row(told: Prediction, done: Execution) -> dict[str, Any]:
    """How many of the sets that queries read, one for each step and stream, are the ones that the simulator read."""
    rows, equal, total = told.run.live.shape[2], 0, 0
    first = -1
    for step, (ours, theirs) in enumerate(zip(told.seen, done.seen, strict=True)):
        for layer, ids in enumerate(theirs):
            for row in range(rows):
                mine, real = ours[layer * rows + row], ids[row]
                same = np.array_equal(mine[mine >= 0], real[real >= 0])
                total, equal = total + 1, equal + same
                first = step if first < 0 and not same else first
    more: dict[str, Any] = {"misplaced": done.misplaced}
    if first >= 0:
        more["why"] = f"{total - equal} sets differ, the first at step {first}"
    elif done.misplaced:
        more["why"] = f"{done.misplaced} slots do not hold the key and value of their position"
    return row_of("retained sets", "sets", total, equal, total - equal + done.misplaced, **more)


def bytes_rows(run: AttentionRun, done: Execution) -> list[dict[str, Any]]:
    """Live bytes after the prompt and after each step, and the most before slots leave; padding and masses apart."""
    more: dict[str, Any] = {
        "padding_bytes": done.padding_bytes,
        "mass_bytes": done.mass_bytes,
        "allocator_bytes": done.allocator_bytes,
        "compacting_bytes": done.compacting_bytes,
    }
    rows = []
    for name, ours, theirs in (
        ("resident bytes, mean", run.resident_bytes, done.resident_bytes),
        ("peak bytes", run.peak_bytes, done.peak_bytes),
    ):
        value = np.mean if "mean" in name else np.max
        worst = int(np.abs(ours - theirs).max())
        rows.append(row_of(name, "B", float(value(ours)), float(value(theirs)), worst, **more))
    return rows


def error_row(told: Prediction, ground: Ground, done: Execution, how: str) -> dict[str, Any]:
    """Mean output error; difference and tolerance are those of the query that comes nearest to its tolerance."""
    full = ground.full.out[how].astype(np.float64)
    norms = np.linalg.norm(full, axis=-1)
    measured = np.linalg.norm(done.out[how] - full, axis=-1) / np.maximum(norms, 1e-30)
    predicted = told.run.error
    bound = error_bound(predicted, done.bound, ground.full.bound, norms)
    share = np.abs(measured - predicted) / bound
    worst = np.unravel_index(
        int(share.argmax()), share.shape
    )  # of a number that is none first, and that is never within
    return row_of(
        f"output error, {how}",
        "",
        float(predicted.mean()),
        float(measured.mean()),
        float(np.abs(measured - predicted)[worst]),
        float(bound[worst]),
        mean_difference=float(np.abs(measured - predicted).mean()),
    )
