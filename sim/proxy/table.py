"""Several runs of proxies, a row each."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ...traces.errors import ResultError
from ..files import write_whole

if TYPE_CHECKING:
    from ...traces.request import RequestTrace
    from .result import ProxyResult

__all__ = ["ProxyTable"]


class ProxyTable:
    """Several runs, a row each.

    Attributes
    ----------
    results : list of ProxyResult
    frame : DataFrame
        The rows of all, see `ProxyResult.to_row`.
    """

    def __init__(self, results: list[ProxyResult], trace: RequestTrace) -> None:
        self.results = results
        self.frame: pd.DataFrame = pd.DataFrame([r.to_row() for r in results]).assign(version=version("evictlab"))
        self._provenance = trace.provenance

    def __len__(self) -> int:
        return len(self.results)

    def __repr__(self) -> str:
        return str(self.summary().to_string(index=False))

    def _repr_html_(self) -> str:
        return str(self.summary().to_html(index=False))

    def summary(self) -> pd.DataFrame:
        """Return the columns that carry the verdict, for reading."""
        shown = ["policy", "capacity", "hit_ratio", "byte_hit_ratio", "latency_all_p50_ms", "latency_all_p99_ms"]
        frame = self.frame[[*shown, "origin_requests", "overshoot"]]
        return frame.loc[:, frame.notna().any()]

    def plot(self) -> Any:
        """Draw all runs in one figure, see `ProxyResult.plot`."""
        from .plot import plot_proxy

        return plot_proxy(self.results)

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the rows as ``.parquet``, ``.csv`` or, with where the trace comes from, ``.json``: whole or not at all.

        Raises
        ------
        ResultError
            An unknown suffix, or the file cannot be written.
        """
        path = Path(path)
        writers: dict[str, Callable[[Path], object]] = {
            ".parquet": self.frame.to_parquet,
            ".csv": lambda part: self.frame.to_csv(part, index=False),
            ".json": lambda part: part.write_text(self.to_json() + "\n", encoding="utf-8"),
        }
        if path.suffix.lower() not in writers:
            raise ResultError(f"{path}: rows cannot be written as {path.suffix!r}; take one of {', '.join(writers)}")
        return write_whole(path, writers[path.suffix.lower()])

    def to_json(self) -> str:
        """Return one document: ``{"schema": 1, "rows": [...], "traces": {...}}``."""
        filled = self.frame.astype(object).where(self.frame.notna(), None)
        provenance = self._provenance.to_dict() | {"sha256": self._provenance.sha256}
        rows = filled.to_dict("records")
        return json.dumps({"schema": 1, "rows": rows, "traces": {self._provenance.name: provenance}}, indent=1)
