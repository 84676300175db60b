"""Files that a command leaves: results as Parquet, CSV or JSON, and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...sim.result import Result

__all__ = ["write_picture", "write_results"]


def write_results(result: Result, path: Path) -> None:
    """Write the rows of `result`, windows after totals, as the suffix of `path` says: whole or not at all.

    Raises
    ------
    ResultError
        It cannot be written; nothing is left behind.
    """
    from ...sim.files import write_whole

    suffix = path.suffix.lower()
    if suffix == ".parquet":
        result.to_parquet(path)
    elif suffix == ".json":
        write_whole(path, lambda part: part.write_text(result.to_json() + "\n", encoding="utf-8"))
    else:
        import pandas as pd

        from ...sim.result import COLUMNS

        whole = pd.concat([result.frame, result.windows], ignore_index=True)[list(COLUMNS)]
        write_whole(path, lambda part: whole.to_csv(part, index=False))


def write_picture(result: Result, column: str, path: Path) -> None:
    """Draw the metric against size, or over time where there are windows; its data go beside it as CSV.

    Raises
    ------
    ResultError
        It cannot be written.
    """
    from ...sim.plot import plot_result, plot_windows, save_figure

    if result.windows.empty:
        save_figure(plot_result(result, column), path, result.frame)
    else:
        save_figure(plot_windows(result, column), path, result.windows)
