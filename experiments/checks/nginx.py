"""A real NGINX against the simulated proxy: workloads x cache sizes x manager settings, hit ratios and sizes on disk.

Three workloads: one day of NASA's web server (its log is not part of evictlab), Cold-RL's trap workload, and a Zipf mix with
objects that never come again, with which a stock NGINX was seen to let a cache of 25 MB grow far beyond that.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...traces.errors import UnknownNameError, UsageError
from ...traces.units import format_bytes
from ..page import Block, Reproduction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...sim.check.nginx import NginxCheck
    from ...traces.record.nginx.config import RealConfig
    from ...traces.request import RequestTrace
    from ..journal import Journal

__all__ = ["AIM", "MANAGERS", "WORKLOADS", "Run", "measure", "nasa_log", "plan", "reproduction", "workload"]

AIM = 0.005
"""Largest absolute difference of hit ratios that is aimed at."""

MANAGERS: dict[str, float | None] = {"stock": None, "50ms": 0.05}
"""How soon NGINX's cache manager looks again when it had nothing to do; stock is up to 10 s."""

SETTLE_S = 1.55
"""NGINX runs so long before the first request, so that its manager first wakes up 8.45 s into the run."""

SLOW_ROUNDS = 1.5
"""A manager whose rounds are so many times as far apart as they should be was kept waiting."""

_HERE = Path(__file__).resolve().parents[2]
_NASA = "nasa_19950801.tsv.zst"
_NASA_FORMAT = r"$remote_addr\t$user\t$msec\t$request_method\t$request_uri\t$status\t$body_bytes_sent\t$referer\t$agent"
_MIX = "one_hit:requests=12000,objects=400,alpha=0.8,one_hit_share=0.25,sizes=20kB,one_hit_sizes=200kB"


@dataclass(frozen=True)
class Workload:
    """What is sent: a source of requests, at which rate, to caches of which sizes (in NGINX's powers of 1024)."""

    source: str
    rate_per_s: float
    sizes: tuple[str, ...]


WORKLOADS = {
    "nasa": Workload(_NASA, 1500.0, ("2MiB", "10MiB", "40MiB")),
    "trap": Workload("trap", 500.0, ("25MiB", "100MiB", "400MiB")),
    "zipf": Workload(_MIX, 12_000 / 11, ("25MiB", "50MiB", "100MiB")),
}
"""By the name on the command line."""


@dataclass(frozen=True)
class Run:
    """One check: a workload, a size and a manager."""

    workload: str
    trace: RequestTrace
    size: str
    manager: str
    rate_per_s: float
    connections: int
    repeat: int = 0

    @property
    def config(self) -> RealConfig:
        """How NGINX is set up."""
        from ...traces.record.nginx.config import RealConfig
        from ...traces.units import parse_size

        size = parse_size(self.size)
        if size.kind != "bytes":
            raise UsageError(f"NGINX's max_size is in bytes; write {self.size!r} as 25MiB")
        return RealConfig(
            int(size.value), manager_interval_s=MANAGERS[self.manager], settle_s=SETTLE_S, watch_manager=True
        )

    @property
    def key(self) -> str:
        """What the result depends on, as text."""
        about = [self.workload, self.trace.name, len(self.trace), self.size, self.manager]
        return json.dumps([*about, self.rate_per_s, self.connections, SETTLE_S, self.repeat])


def nasa_log(data: Path | None = None) -> Path | None:
    """Find NASA's log of 1 August 1995: in `data`, ``$EVICTLAB_SHARED_DATA``, or ``../shared/data`` of a checkout."""
    shared = os.environ.get("EVICTLAB_SHARED_DATA")
    roots = [data] if data is not None else [*([Path(shared)] if shared else []), _HERE.parent / "shared" / "data"]
    places = [place for root in roots for place in (root / _NASA, root / "http" / _NASA)]
    return next((place for place in places if place.is_file()), None)


def workload(name: str, data: Path | None = None) -> RequestTrace:
    """Open a workload by its name.

    Raises
    ------
    UnknownNameError, UsageError
        There is none of that name, or NASA's log is not here.
    """
    from ...traces.open import open_trace
    from ..sources import open_source

    if name not in WORKLOADS:
        raise UnknownNameError("workload", name, WORKLOADS)
    if name != "nasa":
        return open_source(WORKLOADS[name].source)
    log = nasa_log(data)
    if log is None:
        raise UsageError(
            f"no {_NASA} here: one day of NASA-HTTP as TSV, from indeedeng/imhotep. --data FOLDER says where"
        )
    # A header line is the one that does not fit; client addresses are not read.
    return open_trace(f"access_log:{log}", name="nasa", format=_NASA_FORMAT)


def plan(
    traces: Sequence[tuple[str, RequestTrace]],
    sizes: Sequence[str],
    managers: Sequence[str],
    rate_per_s: float | None,
    connections: int,
    repeats: int = 1,
) -> list[Run]:
    """List the checks to be made; sizes and rate of the workload where none are given.

    Raises
    ------
    UsageError
        An unknown manager, a size that is none, or a trace without sizes of its own to be cached in.
    """
    for manager in managers:
        if manager not in MANAGERS:
            raise UnknownNameError("manager", manager, MANAGERS)
    runs = []
    for name, trace in traces:
        usual = WORKLOADS.get(name, Workload(name, 500.0, ()))
        if not (sizes or usual.sizes):
            raise UsageError(f"how large a cache for {trace.name}? Add --size 25MiB")
        for size in sizes or usual.sizes:
            for manager in managers:
                run = Run(name, trace, size, manager, rate_per_s or usual.rate_per_s, connections)
                _ = run.config  # a size that is none is refused before anything runs
                runs += [replace(run, repeat=number) for number in range(repeats)]
    return runs


def measure(
    runs: Sequence[Run], journal: Journal, *, progress: Callable[[int], None] | None = None
) -> list[dict[str, Any]]:
    """Make the checks that the journal does not hold, one after another; return their rows in order.

    Rows carry the size on disk over time under ``series``.
    """
    from ...sim.check.nginx import check_nginx

    for run in runs:
        if run.key in journal.finished:
            if progress is not None:
                progress(len(run.trace))
            continue
        made = check_nginx(
            run.trace, run.config, rate_per_s=run.rate_per_s, connections=run.connections, progress=progress
        )
        head = {"workload": run.workload, "size": run.size, "repeat": run.repeat}
        journal.add(run.key, [head | made.to_row() | {"series": _series(made)}])
    return [journal.finished[run.key][0] for run in runs]


def _series(made: NginxCheck) -> dict[str, list[float]]:
    """The size on disk over time, in at most 400 points of each."""
    series = made.series()
    return {name: values[:: max(1, len(values) // 400)].tolist() for name, values in series.items()}


def reproduction(rows: Sequence[dict[str, Any]], aim: float = AIM) -> Reproduction:
    """Put predictions and reality side by side.

    Parameters
    ----------
    rows : sequence of dict
        As `measure` returns them.
    aim : float
    """
    worst = max(rows, key=lambda row: abs(row["difference"]))
    verdict = "within" if abs(worst["difference"]) <= aim else "NOT within"
    remarks = [
        "The same requests through a real NGINX (Debian's package, unmodified) and through the simulated proxy with LRU, which "
        "is what NGINX evicts by. Hits are what NGINX logged as $upstream_cache_status. The prediction knows the trace, the "
        "rate, the configuration, when the cache manager started and what removing a file takes, nothing else. Manager: stock "
        "looks again after up to 10 s; 50ms is the same binary, kept awake by a second, tiny cache.",
        f"Largest difference of hit ratios: {worst['difference']:+.4f} ({worst['workload']}, {worst['size']}, "
        f"{worst['manager']}), {verdict} the {aim:g} aimed at.",
        *_overshoot(rows),
        *_uncounted(rows),
        *_disturbed(rows),
    ]
    names = list(dict.fromkeys(row["workload"] for row in rows))
    blocks = [_block(name, [row for row in rows if row["workload"] == name]) for name in names]
    plain = [{key: value for key, value in row.items() if key != "series"} for row in rows]
    return Reproduction("nginx", "A real NGINX and its simulation", remarks, plain, blocks, lambda: _draw(rows))


def _overshoot(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What became of the run in which a stock NGINX was once seen to end with 82 MB in a cache of 25 MB."""
    found = [row for row in rows if (row["workload"], row["size"], row["manager"]) == ("zipf", "25MiB", "stock")]
    return [
        f"The cache of 25 MB that a stock NGINX lets grow: at the end of 11 s {row['real_final_bytes'] / 1e6:.1f} MB on disk "
        f"(predicted {row['predicted_final_bytes'] / 1e6:.1f} MB; a run of others ended with 82 MB and a hit ratio of 0.698), "
        f"{row['real_peak_bytes'] / 1e6:.0f} MB at the most (predicted {row['predicted_peak_bytes'] / 1e6:.0f} MB)."
        for row in found
    ]


def _uncounted(rows: Sequence[dict[str, Any]]) -> list[str]:
    """In which runs NGINX held more than it believed, which no prediction foresees."""
    which = [
        f"{row['workload']} {row['size']} {row['manager']} ({row['uncounted_bytes'] / 1e6:.2f} MB)"
        for row in rows
        if (row["uncounted_bytes"] or 0) > 0
    ]
    if not which:
        return []
    return [
        "NGINX lost count of objects that were asked for in the moment of their removal, so that its cache was larger than it "
        f"believed, and hit more than predicted: {', '.join(which)}. That is chance, and is not simulated."
    ]


def _disturbed(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Which runs say something about a machine that had other things to do."""
    from ...traces.record.nginx.recording import LATE_S

    def named(chosen: Sequence[dict[str, Any]], what: str) -> list[str]:
        which = ", ".join(f"{row['workload']} {row['size']} {row['manager']}" for row in chosen)
        return [f"The machine was busy, {what}: {which}. Repeat these on a quiet one."] if chosen else []

    late = [row for row in rows if (row["late_p99_ms"] or 0) > 1000 * LATE_S]
    slow = [
        row
        for row in rows
        if (row["manager_p90_ms"] or 0) > SLOW_ROUNDS * 1000 * (MANAGERS[row["manager"]] or math.inf)
    ]
    return [
        *named(late, f"one of a hundred requests was sent more than {1000 * LATE_S:g} ms late"),
        *named(slow, f"one of ten rounds of the manager came after more than {SLOW_ROUNDS:g} times its interval"),
    ]


def _block(name: str, rows: Sequence[dict[str, Any]]) -> Block:
    first = rows[0]
    title = f"{name}: {first['requests']:,} requests at {first['rate_per_s']:.0f}/s"
    header = ["size", "manager", "hit %", "predicted", "diff", "peak", "predicted", "end", "predicted"]
    return Block(title, header, [_cells(row) for row in rows])


def _cells(row: dict[str, Any]) -> list[str]:
    hits = [f"{100 * row['real_hit_ratio']:.2f}", f"{100 * row['predicted_hit_ratio']:.2f}"]
    sizes = [format_bytes(row[f"{who}_{what}_bytes"]) for what in ("peak", "final") for who in ("real", "predicted")]
    return [row["size"], row["manager"], *hits, f"{round(100 * row['difference'], 2) + 0.0:+.2f}", *sizes]


def _draw(rows: Sequence[dict[str, Any]]) -> Figure:
    """Hit ratios against each other, and the size on disk over time of the smallest cache of each workload."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(row["workload"] for row in rows))
    figure = Figure(figsize=(4.2 * (len(names) + 1), 3.6), layout="constrained")
    panels = figure.subplots(1, len(names) + 1)
    _draw_ratios(panels[0], rows, names)
    for panel, name in zip(panels[1:], names, strict=True):
        of_it = [row for row in rows if row["workload"] == name]
        # Of repeated runs the first is enough.
        _draw_disk(panel, [row for row in of_it if (row["size"], row["repeat"]) == (of_it[0]["size"], 0)])
    return figure


def _draw_ratios(panel: Any, rows: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    colours = dict(zip(names, ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"), strict=False))
    for name in names:
        for manager, mark in (("stock", "o"), ("50ms", "x")):
            chosen = [row for row in rows if (row["workload"], row["manager"]) == (name, manager)]
            if chosen:
                real, predicted = ([100 * row[f"{who}_hit_ratio"] for row in chosen] for who in ("real", "predicted"))
                panel.plot(
                    real, predicted, mark, color=colours.get(name, "0.4"), mfc="none", label=f"{name}, {manager}"
                )
    panel.axline((0, 0), slope=1, color="0.8", zorder=0)
    panel.set(xlabel="real NGINX, hit ratio (%)", ylabel="predicted (%)", xlim=(0, 100), ylim=(0, 100))
    panel.legend(fontsize=7, frameon=False)


def _draw_disk(panel: Any, rows: Sequence[dict[str, Any]]) -> None:
    colours = {"stock": "#d55e00", "50ms": "#0072b2"}
    for row in rows:
        series, colour = row["series"], colours[row["manager"]]
        for who, style, width in (("real", "-", 2.5), ("simulated", "--", 1.0)):
            size_mb = [size / 1e6 for size in series[f"{who}_bytes"]]
            shade = {"color": colour, "alpha": 0.45} if who == "real" else {"color": "black"}
            label = f"{row['manager']}, {who}" if who == "real" else None
            panel.plot(series[f"{who}_s"], size_mb, style, linewidth=width, label=label, **shade)
    panel.plot([], [], "--", color="black", linewidth=1.0, label="predicted")
    panel.axhline(rows[0]["max_size_bytes"] / 1e6, color="0.6", linewidth=0.8, linestyle=":")
    panel.set(title=f"{rows[0]['workload']}, {rows[0]['size']}", xlabel="time (s)", ylabel="on disk (MB)")
    panel.set_ylim(bottom=0)
    panel.legend(fontsize=7, frameon=False)


def shortened(trace: RequestTrace, limit: int | None) -> RequestTrace:
    """Return the first `limit` requests, under a name that says so."""
    if limit is None or limit >= len(trace):
        return trace
    part = trace[:limit]
    return replace(part, provenance=replace(part.provenance, name=f"{trace.name}, first {limit:,}"))
