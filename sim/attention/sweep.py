"""Several policies and budgets on the requests of one trace, and the table of what came out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...policies.kv.protect import BudgetError, Protect
from ...policies.kv.registry import parse_kv_policy
from ...traces.errors import CapabilityError, ResultError, UsageError
from .budget import Budget
from .replay import prepare, replay_attention
from .result import AttentionRun

if TYPE_CHECKING:
    import pandas as pd

    from ...traces.attention import AttentionTrace

__all__ = ["COLUMNS", "AttentionTable", "sweep_attention"]

COLUMNS = (
    "policy",
    "budget",
    "mass",
    "mass_beyond_sink",
    "mass_worst",
    "regret",
    "recall",
    "output_error",
    "projected_error",
    "live_slots",
    "resident_bytes",
    "peak_bytes",
)
"""What carries the verdict."""


@dataclass
class AttentionTable:
    """Runs, a row each.

    Attributes
    ----------
    rows : list of dict
        See `AttentionRun.row`.
    runs : list of AttentionRun
        With their arrays and action logs, where they were kept.
    refused : dict of str to str
        Policies that lack what the trace would have to hold, or whose window a budget cannot hold, and why.
    trace : dict
        Where the trace comes from.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    runs: list[AttentionRun] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    trace: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return str(self.summary().to_string(index=False))

    def _repr_html_(self) -> str:
        return str(self.summary().to_html(index=False))

    @property
    def frame(self) -> pd.DataFrame:
        """All rows, all columns."""
        import pandas as pd

        return pd.DataFrame(self.rows).assign(version=version("evictlab"))

    def summary(self) -> pd.DataFrame:
        """Return one line per policy and budget, means over requests and seeds, columns that carry the verdict."""
        import pandas as pd

        frame = pd.DataFrame(self.rows)
        keys = ["policy", "budget"]
        return frame.groupby(keys, sort=False)[[c for c in COLUMNS if c not in keys]].mean().reset_index()

    def plot(self) -> Any:
        """Draw mass and error against budget and bytes, see `plot_attention`."""
        from .plot import plot_attention

        return plot_attention(self.summary(), oracles={row["policy"] for row in self.rows if row["oracle"]})

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the rows as ``.parquet``, ``.csv`` or, with where the trace comes from, ``.json``: whole or not at all.

        Raises
        ------
        ResultError
            An unknown suffix, or the file cannot be written.
        """
        from ..files import write_whole

        path, frame = Path(path), self.frame
        writers: dict[str, Callable[[Path], object]] = {
            ".parquet": frame.to_parquet,
            ".csv": lambda part: frame.to_csv(part, index=False),
            ".json": lambda part: part.write_text(self.to_json() + "\n", encoding="utf-8"),
        }
        if path.suffix.lower() not in writers:
            raise ResultError(f"{path}: rows cannot be written as {path.suffix!r}; take one of {', '.join(writers)}")
        return write_whole(path, writers[path.suffix.lower()])

    def to_json(self) -> str:
        """Return one document: ``{"schema": 1, "rows": [...], "trace": {...}, "refused": {...}}``."""
        frame = self.frame
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
        return json.dumps({"schema": 1, "rows": rows, "trace": self.trace, "refused": self.refused}, indent=1)


def sweep_attention(
    trace: AttentionTrace,
    policies: Sequence[str],
    budgets: Sequence[str],
    *,
    protect: str | Protect = "none",
    seeds: Sequence[int] = (0,),
    requests: Sequence[int] | None = None,
    keep_runs: bool = False,
    measure: Callable[[AttentionRun], dict[str, float]] | None = None,
    progress: Callable[[int], object] | None = None,
) -> AttentionTable:
    """Replay every policy with every budget.

    Parameters
    ----------
    trace : AttentionTrace
    policies : sequence of str
        Words of `evictlab.policies.kv.registry.parse_kv_policy`.
    budgets : sequence of str
    protect : str or Protect
    seeds : sequence of int
        Used by policies that draw at random; others run once.
    requests : sequence of int, optional
        All of them if not given.
    keep_runs : bool
        Whether the table keeps arrays and action logs.
    measure : callable (AttentionRun) -> dict, optional
        Adds columns to each row.
    progress : callable (int), optional
        Told how many more replays are done.

    Raises
    ------
    UsageError
        Nothing could be replayed; the message says why, for each policy.
    """
    protection = protect if isinstance(protect, Protect) else Protect.parse(protect)
    chosen = list({policy.label: policy for policy in map(parse_kv_policy, policies)}.values())
    asked = list(dict.fromkeys(Budget.parse(budget) for budget in budgets))
    if not chosen or not asked:
        raise UsageError("name at least one policy and one budget")
    numbers = range(len(trace.requests)) if requests is None else requests
    table = AttentionTable(trace={"name": trace.name, "sha256": trace.sha256, **trace.facts()})
    for number in numbers:
        ready = prepare(trace, number)
        for policy in chosen:
            for budget in asked:
                for seed in seeds if policy.random else seeds[:1]:
                    if policy.label in table.refused:
                        continue
                    try:
                        run = replay_attention(ready, policy, budget, protect=protection, seed=seed, record=True)
                    except CapabilityError as error:
                        table.refused[policy.label] = str(error)
                        continue
                    except BudgetError as error:
                        table.refused[f"{policy.label} at {budget.text}"] = str(error)
                        continue
                    table.rows.append(run.row() | (measure(run) if measure else {}))
                    if keep_runs:
                        table.runs.append(run)
                    if progress is not None:
                        progress(1)
    if not table.rows:
        raise UsageError("; ".join(f"{name}: {why}" for name, why in table.refused.items()))
    _add_regret(table.rows)
    return table


BEST = "belady_mass"
"""The optimum of kept attention under a hard cap, to which regret is counted."""


def _add_regret(rows: list[dict[str, Any]]) -> None:
    """Add what each row keeps less than the optimum does with the same budget.

    NaN where that was not replayed, and for caches that may hold more.
    """

    def cell(row: dict[str, Any]) -> tuple[str, str, str]:
        return row["trace"], row["request"], row["budget"]

    best = {cell(row): row["mass"] for row in rows if row["policy"] == BEST}
    for row in rows:
        capped = row["policy"] != "full" and not row["prompt_only"]
        row["regret"] = best[cell(row)] - row["mass"] if capped and cell(row) in best else float("nan")
