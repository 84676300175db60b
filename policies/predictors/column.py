"""A column of the trace as predictions.

``column`` alone takes the column that the trace was read with as predictions (``--reader prediction=NAME``, of CSV and
Parquet). Any other column that a trace can have may be named as well: ``column:name=ttls``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...traces.errors import PredictionError, UsageError
from ...traces.normalise import COLUMNS
from .base import KINDS, Source, predictor

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["Column"]


@predictor(title="Column of the trace", year=2026, source="https://pypi.org/project/evictlab/")
@dataclass(frozen=True)
class Column(Source):
    """Whatever a column of the trace says.

    Parameters
    ----------
    name : str
        predictions, sizes, times, ttls, costs or ops.
    holds : str
        bits, next_use (indices of requests, which become bits where bits are needed), or any: what the policy reads.
    """

    name: str = "predictions"
    holds: str = "any"

    def __post_init__(self) -> None:
        if self.name not in COLUMNS:
            raise UsageError(f"column: a trace has no column {self.name!r}; it may have {', '.join(COLUMNS)}")
        if self.holds not in ("any", "bits", "next_use"):
            raise UsageError(f"column: holds={self.holds!r} is none of any, bits, next_use")

    @property
    def kinds(self) -> tuple[str, ...]:  # type: ignore[override]
        """The kinds that the column holds."""
        return {"any": tuple(KINDS), "bits": ("discard", "phase"), "next_use": ("next_use",)}[self.holds]

    def forecast(self, kind: str, trace: RequestTrace, capacity: int) -> Any:
        """Read the column."""
        values = getattr(trace, self.name)
        if values is None:
            hint = "; say which of the file's it is: --reader prediction=NAME" if self.name == "predictions" else ""
            raise PredictionError(f"{trace.name} has no column of {self.name}{hint}")
        return values
