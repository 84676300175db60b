"""The table that every replay ends in: one row per run, one metric per column, units in the names.

`Result` is a thin shell around a pandas DataFrame: what a notebook shows, what is written to Parquet, what plots and
reports read. Rows of time windows are kept beside it, in `windows`, so that totals are never mixed with parts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..traces.errors import ResultError, UnknownNameError
from .files import write_whole

if TYPE_CHECKING:
    from ..traces.request import RequestTrace

__all__ = ["COLUMNS", "KEY", "Result"]

KEY = ["trace", "policy", "parameters", "capacity", "capacity_bytes", "capacity_objects", "seed", "ttl", "warmup"]
"""What identifies a run within a table."""

COLUMNS: dict[str, str] = {
    "trace": "string",
    "policy": "string",
    "parameters": "string",
    "capacity": "string",
    "capacity_bytes": "Int64",
    "capacity_objects": "Int64",
    "seed": "Int64",
    "ttl": "string",
    "warmup": "string",
    "window": "Int64",
    "window_start_s": "float64",
    "requests": "Int64",
    "hits": "Int64",
    "misses": "Int64",
    "miss_ratio": "float64",
    "bytes": "Int64",
    "hit_bytes": "Int64",
    "byte_miss_ratio": "float64",
    "cost_s": "float64",
    "saved_s": "float64",
    "cost_miss_ratio": "float64",
    "evictions": "Int64",
    "expired": "Int64",
    "refused": "Int64",
    "too_large": "Int64",
    "used": "Int64",
    "cpu_s": "float64",
    "requests_per_s": "float64",
    "predictor": "string",
    "eta0": "Int64",
    "eta1": "Int64",
    "eta": "float64",
    "version": "string",
}
"""Columns and their pandas types; ratios are 0-1, `cpu_s` is the loop alone. `eta0`, `eta1` and `eta` say how wrong the
predictions were, see `evictlab.policies.predictors.errors`."""

SCHEMA = 1
_META = b"evictlab"


class Result:
    """Rows of finished replays.

    Attributes
    ----------
    frame : DataFrame
        One row per trace, policy, parameters, capacity and seed.
    windows : DataFrame
        The same for each time window, with `window` and `window_start_s`; empty without windows.
    provenance : dict of str to dict
        What is known about each trace: source, sha256, reader, dropped and repaired records. The digests are computed
        when first asked for, as they are by everything that writes the table.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        windows: pd.DataFrame,
        provenance: dict[str, dict[str, Any]] | Callable[[], dict[str, dict[str, Any]]],
    ) -> None:
        self.frame, self.windows, self._provenance = frame, windows, provenance

    @cached_property
    def provenance(self) -> dict[str, dict[str, Any]]:
        """What is known about each trace, by its name."""
        return self._provenance() if callable(self._provenance) else self._provenance

    @classmethod
    def from_rows(cls, rows: Iterable[dict[str, Any]], traces: Sequence[RequestTrace] = ()) -> Result:
        """Build a table from rows as `Run.rows` gives them."""
        from importlib.metadata import version

        whole = pd.DataFrame(list(rows), columns=[name for name in COLUMNS if name != "version"])
        whole["version"] = version("evictlab")
        whole = whole.astype(COLUMNS)
        in_window = whole["window"].notna()
        frame = whole[~in_window].drop(columns=["window", "window_start_s"]).reset_index(drop=True)
        origins = [trace.provenance for trace in traces]  # and not the traces, which the table would keep in memory
        return cls(
            frame,
            whole[in_window].reset_index(drop=True),
            lambda: {origin.name: origin.to_dict() | {"sha256": origin.sha256} for origin in origins},
        )

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        return repr(self.summary())

    def _repr_html_(self) -> str:
        return str(self.summary().to_html(index=False))

    def summary(self) -> pd.DataFrame:
        """Return the columns that differ between rows or that carry the verdict, for reading."""
        shown = ["trace", "policy", "capacity", "miss_ratio", "byte_miss_ratio", "cost_miss_ratio", "requests_per_s"]
        frame = self.frame[[name for name in shown if self.frame[name].notna().any()]]
        return frame.rename(columns={"requests_per_s": "Mreq/s"}).assign(
            **({"Mreq/s": frame["requests_per_s"] / 1e6} if "requests_per_s" in frame else {})
        )

    def best(self, metric: str = "miss_ratio") -> pd.DataFrame:
        """Return the row with the lowest `metric` for each trace and capacity (mean over seeds).

        Raises
        ------
        ResultError
            When there is no such metric in this table.
        """
        self._check(metric)
        keys = ["trace", "capacity", "policy"]
        mean = self.frame.dropna(subset=[metric]).groupby(keys, sort=False, as_index=False)[metric].mean()
        lowest = mean.groupby(["trace", "capacity"], sort=False)[metric].idxmin()
        return pd.DataFrame(mean.loc[lowest].reset_index(drop=True))

    def plot(self, metric: str = "miss_ratio", **options: Any) -> Any:
        """Draw `metric` against capacity, one panel per trace and one line per policy; return the matplotlib figure."""
        from .plot import plot_result

        self._check(metric)
        return plot_result(self, metric, **options)

    def to_parquet(self, path: str | os.PathLike[str]) -> Path:
        """Write rows and provenance to one file, whole or not at all; return its path.

        Raises
        ------
        ResultError
            When it cannot be written (disk full, no permission); nothing is left behind.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(pd.concat([self.frame, self.windows], ignore_index=True)[list(COLUMNS)])
        about = json.dumps({"schema": SCHEMA, "traces": self.provenance})
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), _META: about.encode()})
        return write_whole(path, lambda part: pq.write_table(table, part))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Result:
        """Read what `to_parquet` wrote.

        Raises
        ------
        ResultError
            When it is no such file.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
            about = json.loads(table.schema.metadata[_META])
            whole = table.to_pandas()[list(COLUMNS)].astype(COLUMNS)
        except FileNotFoundError:
            raise ResultError(f"no results file {path}") from None
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise ResultError(f"{path} is not a results file of evictlab ({error})") from error
        in_window = whole["window"].notna()
        frame = whole[~in_window].drop(columns=["window", "window_start_s"]).reset_index(drop=True)
        return cls(frame, whole[in_window].reset_index(drop=True), about["traces"])

    def to_json(self) -> str:
        """Return one document: ``{"schema": 1, "rows": [...], "windows": [...], "traces": {...}}``, without NaN."""
        document = {
            "schema": SCHEMA,
            "rows": _records(self.frame),
            "windows": _records(self.windows),
            "traces": self.provenance,
        }
        return json.dumps(document, indent=1)

    def _check(self, metric: str) -> None:
        known = [
            name for name in ("miss_ratio", "byte_miss_ratio", "cost_miss_ratio") if self.frame[name].notna().any()
        ]
        if metric not in known:
            raise UnknownNameError("metric", metric, known)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dicts of plain values; missing ones are None."""
    filled = frame.astype(object).where(frame.notna(), None)
    return [{str(key): value for key, value in row.items()} for row in filled.to_dict("records")]
