"""Tables and picture of ``evictlab check learned``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...traces.units import format_bytes
from ..page import Block

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .learned_verdicts import Verdict

__all__ = ["LEARNED", "NATIVE", "WINDOW", "draw", "name_of", "table_of"]

NATIVE, LEARNED = "native", "learned"
"""Who evicts: NGINX's LRU, or the model."""

WINDOW = 500
"""Requests over which a hit ratio is drawn."""

COLOURS = {NATIVE: "#d55e00", LEARNED: "#0072b2"}


def table_of(rows: Sequence[dict[str, Any]], judged: Sequence[Verdict]) -> list[Block]:
    """Return the verdicts, then the numbers of each run."""
    first = rows[0]
    title = (
        f"{first['workload']}: {first['requests']:,} requests at {first['rate_per_s']:.0f}/s, {first['size']}, "
        f"manager every {first['manager_interval_ms']:g} ms"
    )
    learned = [row for row in rows if row["policy"] == LEARNED]
    return [
        Block("What is asked", ["aim", "", "found"], [[each.aim, each.word, each.found] for each in judged]),
        Block(
            title, ["run", "hit %", "predicted", "diff", "alike %", "origin", "predicted"], [_hits(row) for row in rows]
        ),
        Block(
            "Bytes",
            ["run", "hit %", "predicted", "peak", "predicted", "end", "predicted"],
            [_bytes(row) for row in rows],
        ),
        Block(
            "Latency at the client",
            ["run", "all p50 ms", "p99", "hits p50", "p99", "late", "failed"],
            [_latencies(row) for row in rows],
        ),
        Block(
            "CPU seconds; sidecar and manager in % of a core, and of all",
            ["run", "sidecar", "manager", "workers", "% core", "% of all"],
            [_cpu(row) for row in rows],
        ),
        Block(
            "Decisions and round trips",
            ["run", "rounds", "lru", "asked", "ok", "late", "errors", "victims", "p50 us", "p95", "p99"],
            [_decisions(row) for row in learned],
        ),
    ]


def name_of(row: dict[str, Any]) -> str:
    """Return ``learned 1`` for the run of the first pair."""
    return f"{row['policy']} {row['repeat'] + 1}"


def _percent(*ratios: float) -> list[str]:
    return [f"{100 * ratio:.2f}" for ratio in ratios]


def _hits(row: dict[str, Any]) -> list[str]:
    difference = f"{round(100 * row['difference'], 2) + 0.0:+.2f}"
    asked = [f"{row[name]:,}" for name in ("origin_requests", "predicted_origin_requests")]
    ratios = _percent(row["hit_ratio"], row["predicted_hit_ratio"])
    return [name_of(row), *ratios, difference, *_percent(row["agreeing"]), *asked]


def _bytes(row: dict[str, Any]) -> list[str]:
    names = ("peak_bytes", "predicted_peak_bytes", "final_bytes", "predicted_final_bytes")
    ratios = _percent(row["byte_hit_ratio"], row["predicted_byte_hit_ratio"])
    return [name_of(row), *ratios, *(format_bytes(row[name]) for name in names)]


def _latencies(row: dict[str, Any]) -> list[str]:
    taken = [row[f"{what}_{share}_ms"] for what in ("latency", "hit_latency") for share in ("p50", "p99")]
    shown = ["-" if value is None else f"{value:.2f}" for value in taken]
    return [name_of(row), *shown, str(row["late"]), str(row["failed"])]


def _cpu(row: dict[str, Any]) -> list[str]:
    seconds = [f"{row[f'{who}_cpu_s']:.2f}" for who in ("sidecar", "manager", "workers")]
    return [name_of(row), *seconds, *_percent(row["core_share"], row["nginx_share"])]


def _decisions(row: dict[str, Any]) -> list[str]:
    counts = [f"{row[name]:,}" for name in ("rounds", "fallbacks", "asked", "ok", "late_answers", "errors", "victims")]
    trips = [f"{row[f'round_trip_{share}_us']:,}" for share in ("p50", "p95", "p99")]
    return [name_of(row), *counts, *trips]


def draw(rows: Sequence[dict[str, Any]]) -> Figure:
    """Hit ratios of all runs, those of the first pair over time, and how long answers took."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.6, 3.6), layout="constrained")
    pairs, time, trips = figure.subplots(1, 3)
    _draw_pairs(pairs, rows)
    _draw_time(time, rows)
    _draw_trips(trips, [row for row in rows if row["policy"] == LEARNED])
    return figure


def _draw_pairs(panel: Any, rows: Sequence[dict[str, Any]]) -> None:
    for who, colour in COLOURS.items():
        chosen = sorted((row for row in rows if row["policy"] == who), key=lambda row: row["repeat"])
        number = [row["repeat"] + 1 for row in chosen]
        panel.plot(number, [100 * row["hit_ratio"] for row in chosen], "o", color=colour, label=f"{who}, real")
        predicted = [100 * row["predicted_hit_ratio"] for row in chosen]
        panel.plot(number, predicted, "x", color="black", label="predicted" if who == LEARNED else None)
    panel.set(xlabel="pair", ylabel="hit ratio (%)", xticks=sorted({row["repeat"] + 1 for row in rows}))
    panel.set_ylim(bottom=0)
    panel.legend(fontsize=7, frameon=False)


def _draw_time(panel: Any, rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        if row["repeat"]:
            continue
        at_s = [WINDOW * (number + 1) / row["rate_per_s"] for number in range(len(row["series"]["real"]))]
        for what, look in (("real", {"linewidth": 2.5, "alpha": 0.45}), ("predicted", {"linestyle": "--"})):
            ratios = [100 * ratio for ratio in row["series"][what]]
            colour = COLOURS[row["policy"]] if what == "real" else "black"
            panel.plot(at_s, ratios, color=colour, label=row["policy"] if what == "real" else None, **look)
    panel.plot([], [], "--", color="black", label="predicted")
    panel.set(xlabel="time (s)", ylabel=f"hit ratio of {WINDOW} requests (%)", title="the first pair")
    panel.set_ylim(bottom=0)
    panel.legend(fontsize=7, frameon=False)


def _draw_trips(panel: Any, rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        buckets = row["series"]["round_trip_us"]
        if not buckets:
            continue
        total, seen, shares = sum(count for _, count in buckets), 0, []
        for _, count in buckets:
            seen += count
            shares.append(100 * seen / total)
        panel.step([end for end, _ in buckets], shares, where="post", color=COLOURS[LEARNED], alpha=0.7, linewidth=1.0)
    panel.axvline(500, color="0.6", linestyle=":", linewidth=0.8)
    panel.axhline(95, color="0.6", linestyle=":", linewidth=0.8)
    panel.set(xscale="log", xlabel="round trip at most (us)", ylabel="answers (%)", ylim=(0, 100))
