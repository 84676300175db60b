"""What one learned bit per request is worth on real traces, without an oracle.

A model (`learned`) is trained on the first half of each trace and gives a bit with each request of the second half; only
the second half is counted, for the classic policies as well. Succinct paging on those bits is compared with LRU, ARC,
S3-FIFO and SIEVE, and with Belady's optimum. Objects count 1 each, whatever their size, as in the theory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...traces.errors import UsageError
from ..page import Block, Reproduction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from ...sim.runs import Run
    from ...traces.request import RequestTrace
    from ..journal import Journal

__all__ = ["CLASSIC", "LEARNED", "SIZES", "TRACES", "measure", "open_traces", "plan", "reproduction"]

TRACES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "web07": ("cache2k", "cache2k/web07.trace.xz", {}),
    "webcachesim": ("webcachesim", "web/webcachesim-test.tr.zst", {}),
    "nasa": ("csv", "http/nasa_19950801.tsv.zst", {"key": "url"}),
    "mooncake": ("mooncake", "llm/mooncake-synthetic_trace.jsonl.zst", {}),
    "multi1": ("lirs", "lirs/multi1.trace.gz", {}),
    "cpp": ("lirs", "lirs/cpp.trace.gz", {}),
    "ps": ("lirs", "lirs/ps.trace.gz", {}),
    "gcc": ("address", "address/gcc.trace.gz", {}),
    "swim": ("address", "address/swim.trace.gz", {}),
    "orm-night": ("cache2k", "cache2k/orm-night.trace.xz", {}),
    "P3": ("arc", "arc/P3.lis.zst", {}),
}
"""Format, file in the shared data folder, and what its reader must be told, by the name that tables show."""

TUNED_ON = ("web07", "webcachesim")
"""Traces that the model's settings were chosen on: their rows are no independent evidence."""

MOST_REQUESTS = 1_000_000
"""Of longer traces, only so many requests from the start."""

SIZES = ("1%", "10%")
CLASSIC = {"lru": "LRU", "arc": "ARC", "s3fifo": "S3-FIFO", "sieve": "SIEVE"}
LEARNED = {
    "mark0@learned": "Mark0",
    "flush_when_all_zeros@learned": "FWA0",
    "mark_predict@learned": "M&P",
    "follow_leader+mark0+lru@learned": "Mark0/LRU",
}
BELADY = "belady"
WARMUP = 0.5

Rows = list[dict[str, Any]]


def open_traces(data: Path | None = None) -> list[RequestTrace]:
    """Open the traces that are there, in the folder `data`, that of ``$EVICTLAB_SHARED_DATA``, or ``../shared/data``.

    Raises
    ------
    UsageError
        None of them is there.
    TraceError
        One cannot be read.
    """
    from ...traces.open import open_trace

    shared = os.environ.get("EVICTLAB_SHARED_DATA")
    here = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    places = [data] if data is not None else [*([Path(shared)] if shared else []), here]
    for place in places:
        found = [
            open_trace(f"{kind}:{place / file}", name=name, limit=MOST_REQUESTS, **options)
            for name, (kind, file, options) in TRACES.items()
            if (place / file).is_file()
        ]
        if found:
            return found
    raise UsageError(
        f"no traces here: looked for {', '.join(file for _, file, _ in TRACES.values())} in {' or '.join(map(str, places))}. "
        "Name your own: evictlab reproduce one-bit my.trace"
    )


def plan(traces: Sequence[RequestTrace], sizes: Sequence[str], seeds: Sequence[int]) -> list[Run]:
    """List the replays."""
    from ...sim.runs import plan_runs

    return plan_runs(traces, [*CLASSIC, *LEARNED, BELADY], sizes, seeds=seeds, ignore_sizes=True, warmup=WARMUP)


def measure(
    runs: Sequence[Run],
    journal: Journal,
    *,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Rows:
    """Do the replays that the journal does not hold, and return the rows of all."""
    from ...sim.runs import run_all
    from ..journal import run_key

    missing = [run for run in runs if run_key(run) not in journal.finished]
    if progress is not None:
        progress(sum(len(run.trace) for run in runs) - sum(len(run.trace) for run in missing))
    for run, rows in run_all(missing, threads=threads, progress=progress):
        journal.add(run_key(run), rows)
    return [row for run in runs for row in journal.finished[run_key(run)]]


def reproduction(rows: Rows) -> Reproduction:
    """Say where one learned bit wins, and where it does not."""
    cells = _cells(rows)
    return Reproduction(
        name="one_bit",
        title="One learned bit per request against LRU, ARC, S3-FIFO and SIEVE",
        remarks=_remarks(cells),
        rows=[
            {"trace": trace, "capacity": capacity, "policy": policy, "miss_ratio": ratio}
            for (trace, capacity), by_policy in cells.items()
            for policy, ratio in by_policy.items()
        ],
        blocks=[_block(cells, size) for size in dict.fromkeys(capacity for _, capacity in cells)] + [_wins(cells)],
        draw=lambda: _draw(cells),
    )


Cells = dict[tuple[str, str], dict[str, float]]


def _cells(rows: Rows) -> Cells:
    """Miss ratio by trace and capacity, then by policy, mean over seeds."""
    sums: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in rows:
        by_policy = sums.setdefault((row["trace"], row["capacity"]), {})
        by_policy.setdefault(row["policy"], []).append(row["miss_ratio"])
    return {cell: {policy: sum(v) / len(v) for policy, v in found.items()} for cell, found in sums.items()}


def _least(by_policy: Mapping[str, float], of: Mapping[str, str]) -> float:
    return min(by_policy[policy] for policy in of)


def _remarks(cells: Cells) -> list[str]:
    ahead = [cell for cell, found in cells.items() if _least(found, LEARNED) < _least(found, CLASSIC) - 5e-5]
    behind = [cell for cell, found in cells.items() if _least(found, LEARNED) > _least(found, CLASSIC) + 5e-5]
    return [
        "The bit of each request comes from a model trained on the first half of the trace (see `evictlab predictors "
        "learned`); miss ratios are those of the second half, in percent, objects count 1 each, lower is better. Traces with "
        f"more than {MOST_REQUESTS:,} requests: the first so many. Bold: the lowest without an oracle.",
        f"The best of the algorithms with a learned bit is below the best classic policy in {len(ahead)} of {len(cells)} "
        f"cells, and above it in {len(behind)}. The best of several is chosen here after the fact, on both sides. "
        f"The settings of the model were chosen on {' and '.join(TUNED_ON)}; those rows are no independent evidence.",
    ]


def _block(cells: Cells, size: str) -> Block:
    titles = {**CLASSIC, **LEARNED, BELADY: "Belady"}
    lines = []
    for (trace, capacity), found in cells.items():
        if capacity == size:
            least = f"{100 * min(found[policy] for policy in (*CLASSIC, *LEARNED)):.2f}"
            texts = [f"{100 * found[policy]:.2f}" for policy in titles]
            lines.append(
                [
                    trace,
                    *(
                        f"**{text}**" if text == least and policy != BELADY else text
                        for policy, text in zip(titles, texts, strict=True)
                    ),
                ]
            )
    return Block(f"miss ratio, %, cache of {size} of the objects", ["trace", *titles.values()], lines)


def _wins(cells: Cells) -> Block:
    """How often each algorithm with a bit has fewer misses than each classic policy."""
    lines = []
    for policy, title in LEARNED.items():
        counts = [sum(found[policy] < found[classic] for found in cells.values()) for classic in CLASSIC]
        best = sum(found[policy] < _least(found, CLASSIC) for found in cells.values())
        lines.append([title, *(f"{count}/{len(cells)}" for count in [*counts, best])])
    return Block("cells with fewer misses than", ["one bit, in", *CLASSIC.values(), "all four"], lines)


_COLOURS = dict(zip(LEARNED, ("#e69f00", "#0072b2", "#009e73", "#cc79a7"), strict=True))
_MARKS = dict(zip((*CLASSIC, *LEARNED), ("|", "x", "+", "1", "D", "o", "^", "s"), strict=True))


def _draw(cells: Cells) -> Figure:
    """Per trace, what of LRU's misses each policy avoids; grey for the classic ones."""
    from ...sim.picture import Picture

    sizes = list(dict.fromkeys(capacity for _, capacity in cells))
    traces = list(dict.fromkeys(trace for trace, _ in cells))
    figure = Picture(figsize=(2.4 + 4.4 * len(sizes), 1.6 + 0.42 * len(traces)), layout="constrained")
    panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for axes, size in zip(panels, sizes, strict=True):
        for policy, title in {**CLASSIC, **LEARNED, BELADY: "Belady"}.items():
            points = [
                (100 * (1 - cells[trace, size][policy] / cells[trace, size]["lru"]), place)
                for place, trace in enumerate(traces)
            ]
            axes.scatter(
                [x for x, _ in points],
                [y for _, y in points],
                color="black" if policy == BELADY else _COLOURS.get(policy, "0.5"),
                marker="<" if policy == BELADY else _MARKS[policy],
                s=34,
                label=f"{title} (one learned bit)" if policy in LEARNED else title,
                zorder=3 if policy in LEARNED else 2,
            )
        axes.axvline(0, color="0.6", lw=0.8)
        axes.set_yticks(range(len(traces)), traces)
        axes.grid(alpha=0.25)
        axes.set_xlabel("misses avoided, % of LRU's")
        wins = sum(_least(cells[t, size], LEARNED) < _least(cells[t, size], CLASSIC) - 5e-5 for t in traces)
        axes.set_title(
            f"cache of {size} of the objects: a learned bit is\nahead of all four classic policies on {wins} of {len(traces)}",
            fontsize=9,
        )
    panels[0].invert_yaxis()  # for all of them: the axis is shared
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=9)
    return figure
