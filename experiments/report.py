"""One self-contained HTML page from result files: verdict, gains over a baseline, a picture and a table per trace."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..sim.files import write_whole
from ..sim.plot import METRICS, plot_result, plot_windows
from ..sim.result import Result
from ..traces.errors import ResultError
from .verdict import gains, pivot, winners

__all__ = ["combine", "write_report"]

TITLES = {"miss_ratio": "Requests", "byte_miss_ratio": "Bytes", "cost_miss_ratio": "Origin time"}


def combine(paths: Sequence[str | Path]) -> Result:
    """Read result files and put their rows into one table.

    Raises
    ------
    ResultError
        Unreadable, or without rows.
    """
    results = [Result.read(path) for path in paths]
    frame = pd.concat([r.frame for r in results], ignore_index=True).drop_duplicates(ignore_index=True)
    windows = pd.concat([r.windows for r in results], ignore_index=True).drop_duplicates(ignore_index=True)
    if frame.empty:
        raise ResultError(f"no rows in {', '.join(map(str, paths))}")
    provenance = {name: about for r in results for name, about in r.provenance.items()}
    return Result(frame, windows, provenance)


def write_report(
    paths: Sequence[str | Path], output: str | Path, *, title: str = "Cache replay", baseline: str | None = None
) -> Path:
    """Write the page.

    Parameters
    ----------
    paths : sequence of path
        Files written by `Result.to_parquet` (``--output rows.parquet``, ``evictlab sweep``).
    output : path
        One HTML file; pictures are inside.
    title : str
    baseline : str, optional
        Policy that gains are measured against; default ``lru`` when present, else the first.

    Returns
    -------
    Path
    """
    from jinja2 import Environment, PackageLoader, select_autoescape

    result = combine(paths)
    policies = list(dict.fromkeys(result.frame["policy"]))
    baseline = baseline or ("lru" if "lru" in policies else policies[0])
    metrics = [name for name in METRICS if result.frame[name].notna().any()]
    environment = Environment(
        loader=PackageLoader("evictlab.experiments", "templates"), autoescape=select_autoescape(default=True)
    )
    environment.filters["percent"] = lambda x: "" if pd.isna(x) else f"{100 * x:.2f} %"
    environment.filters["points"] = lambda x: "" if pd.isna(x) else f"{100 * x:.2f}"
    page = environment.get_template("report.html.j2").render(
        title=title,
        baseline=baseline,
        versions=sorted(set(result.frame["version"])),
        sections=[_section(result, metric, baseline) for metric in metrics],
        windows=_svg(plot_windows(result)) if len(result.windows) else "",
        traces=_traces(result),
        runs=len(result.frame),
    )
    return write_whole(output, lambda part: part.write_text(page, encoding="utf-8"))


def _section(result: Result, metric: str, baseline: str) -> dict[str, Any]:
    """Everything the page shows about one metric."""
    panels = []
    for trace in dict.fromkeys(result.frame["trace"]):
        table = pivot(result, trace, metric)
        if table.empty:
            continue
        own = Result(result.frame[result.frame["trace"] == trace], result.windows, result.provenance)
        panels.append({"trace": trace, "svg": _svg(plot_result(own, metric)), "table": table, "best": table.min()})
    return {
        "title": TITLES[metric],
        "label": METRICS[metric],
        "winners": winners(result, metric).to_dict("records"),
        "gains": gains(result, metric, baseline).to_dict("records"),
        "panels": panels,
    }


def _traces(result: Result) -> list[dict[str, Any]]:
    """What is known about each trace, for the table at the foot of the page."""
    first = result.frame.groupby("trace", sort=False).first()
    return [
        {
            "name": name,
            "requests": int(first.loc[name, "requests"]),
            "reader": about.get("reader", ""),
            "sha256": about.get("sha256", ""),
            "dropped": about.get("dropped", {}),
            "repaired": about.get("repaired", {}),
            "notes": about.get("notes", []),
        }
        for name in first.index
        for about in [result.provenance.get(name, {})]
    ]


def _svg(figure: Any) -> str:
    """The figure as an SVG element, text kept as text."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "evictlab"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
