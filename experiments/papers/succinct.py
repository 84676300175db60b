"""Antoniadis et al., "Paging with succinct predictions", ICML 2023: what one bit per request is worth when bits are wrong.

The paper proves bounds and measures nothing. Here its three algorithms run on the BrightKite traces with true bits of
which each is flipped with probability p, beside the bounds, with the errors that the flips made:

- Flush-When-All-0s   OPT + (k-1) eta0 + eta1
- Mark0               OPT + 2 H_k eta0 + eta1
- Mark&Predict        2 OPT + H_k eta0 + eta1
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..page import Block, Reproduction, finding, number
from .brightkite import BELADY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .brightkite import Totals

__all__ = ["FLIPS", "PROBABILITIES", "REFERENCE", "policies", "reproduction"]

PROBABILITIES = (0.0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5)

FLIPS = {"both": "bits flip both ways", "1to0": "1 to 0 (wrongly kept)", "0to1": "0 to 1 (wrongly let go)"}

ALGORITHMS = {
    "flush_when_all_zeros": "Flush-When-All-0s",
    "mark0:lazy=false": "Mark0",
    "mark0": "Mark0 (lazy)",
    "mark_predict": "Mark&Predict",
}

LEVELS = {"lru": "LRU", BELADY: "Belady"}

REFERENCE: dict[tuple[str, str], tuple[float | None, ...]] = {
    ("flush_when_all_zeros", "both"): (1.0, 1.0102, 1.0710, 1.1794, 1.2404, 1.3167, 1.3725, 1.4472),
    ("flush_when_all_zeros", "1to0"): (1.0, 1.0087, 1.0662, 1.1789, 1.2363, 1.3069, 1.3567, 1.4239),
    ("flush_when_all_zeros", "0to1"): (1.0, 1.0005, 1.0048, 1.0232, 1.0444, 1.0827, 1.1175, 1.1751),
    ("mark0:lazy=false", "both"): (1.0, 1.0086, 1.0664, 1.2896, 1.5719, 2.1107, 2.6627, 3.6941),
    ("mark0:lazy=false", "1to0"): (1.0, 1.0012, 1.0114, 1.0489, 1.0834, 1.1345, 1.1759, 1.2343),
    ("mark0:lazy=false", "0to1"): (1.0, 1.0058, 1.0516, 1.2560, 1.5116, 2.0218, 2.5507, 3.5732),
    ("mark0", "both"): (1.0, 1.002, 1.016, 1.073, 1.131, 1.241, 1.350, 1.567),
    ("mark_predict", "both"): (1.2253, 1.2255, 1.2271, 1.2352, 1.2445, 1.2642, 1.2851, 1.3305),
    ("mark_predict", "1to0"): (1.2253, 1.2254, 1.2261, 1.2290, 1.2325, 1.2403, 1.2485, 1.2667),
    ("mark_predict", "0to1"): (1.2253, 1.2254, 1.2264, 1.2310, 1.2369, 1.2483, 1.2599, 1.2815),
}
"""By algorithm and flips, one per probability: an independent program's, in another language and with other random numbers.

From shared/data/reference/succinct_brightkite_flip_noise.txt (means of 10 seeds; its bits and traces are the same); the
lazy Mark0 from the same program, with three decimals.
"""

LEVEL_REFERENCE = {"lru": 43_883 / 33_990, BELADY: 1.0}
"""In the stored results of github.com/adampolak/mts-with-predictions."""

_COLOURS = {
    "flush_when_all_zeros": "#0072b2",
    "mark0:lazy=false": "#d55e00",
    "mark0": "#e69f00",
    "mark_predict": "#009e73",
}
_MARKS = {"flush_when_all_zeros": "o", "mark0:lazy=false": "s", "mark0": "D", "mark_predict": "^"}


def _label(algorithm: str, p: float, flips: str) -> str:
    """Write algorithm and predictor as on the command line; nothing flips at p = 0, so that one serves for all."""
    return f"{algorithm}@truth" if p == 0 else f"{algorithm}@noisy:p={p:g}:flips={flips}"


def policies(flips: Sequence[str], probabilities: Sequence[float] = PROBABILITIES) -> list[str]:
    """Return all that is to be replayed, as on the command line."""
    points = (_label(algorithm, p, how) for how in flips for algorithm in ALGORITHMS for p in probabilities)
    return [*LEVELS, *dict.fromkeys(points)]


def _bound(totals: Totals, algorithm: str, label: str) -> float:
    """What is proven, over the optimum."""
    harmonic = sum(1 / i for i in range(1, totals.k + 1))
    least, factor = {
        "flush_when_all_zeros": (1, totals.k - 1),
        "mark0": (1, 2 * harmonic),
        "mark_predict": (2, harmonic),
    }[algorithm.partition(":")[0]]
    return least + factor * totals.ratio(label, "eta0") + totals.ratio(label, "eta1")


def reproduction(totals: Totals, flips: Sequence[str], probabilities: Sequence[float] = PROBABILITIES) -> Reproduction:
    """Put the sums beside the references and the bounds.

    Parameters
    ----------
    totals : Totals
        Of `policies` with the same arguments.
    flips : sequence of str
        Keys of `FLIPS`.
    probabilities : sequence of float
    """
    rows = [
        {"flips": how, "p": None, "title": title, **totals.row(level, LEVEL_REFERENCE[level])}
        for how in flips[:1]
        for level, title in LEVELS.items()
    ]
    for row in rows:
        row["flips"] = None
    for how in flips:
        for algorithm, title in ALGORITHMS.items():
            known = dict(zip(PROBABILITIES, REFERENCE.get((algorithm, how), ()), strict=False))
            for p in probabilities:
                label = _label(algorithm, p, how)
                rows.append(
                    {
                        "flips": how,
                        "p": p,
                        "title": title,
                        **totals.row(label, known.get(p)),
                        "eta0_ratio": totals.ratio(label, "eta0"),
                        "eta1_ratio": totals.ratio(label, "eta1"),
                        "bound": _bound(totals, algorithm, label),
                    }
                )
    return Reproduction(
        name="succinct",
        title="Paging with succinct predictions",
        remarks=_remarks(totals, rows),
        rows=rows,
        blocks=[_block(rows, how) for how in flips],
        draw=lambda: _draw(rows, flips, totals),
    )


def _remarks(totals: Totals, rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "Algorithms and bounds: Antoniadis, Boyar, Eliáš, Favrholdt, Hoeksma, Larsen, Polák, Simon, ICML 2023 "
        "(https://proceedings.mlr.press/v202/antoniadis23a.html), which measures nothing. "
        f"{totals.traces} traces, k = {totals.k}, misses over those of the optimum ({totals.opt:,}), both summed over the "
        f"traces; mean and standard error over seeds (seeds: {len(totals.seeds)}). "
        "Bits: the truth, each flipped with probability p.",
    ]
    if totals.canonical:
        worst = max((row for row in rows if row["difference"] is not None), key=lambda row: abs(row["difference"]))
        lines.append(
            "ref: an independent program with random numbers of its own, mean of 10 seeds "
            "(shared/data/reference/succinct_brightkite_flip_noise.txt; lazy Mark0: the same program, "
            "three decimals); LRU and optimum: stored results of github.com/adampolak/mts-with-predictions. "
            "That program seems to flip the same requests in every trace (at p = 0.001 its eta1 / OPT is 0.0071, and 0.0052 is "
            "expected), which makes its standard error several times ours, up to 0.015 for Mark0. "
            f"Largest difference: {worst['difference']:+.4f} ({worst['policy']})."
        )
    else:
        lines.append("The references are for the 100 BrightKite traces at k = 10; these are others, so none is shown.")
    return lines


def _block(rows: list[dict[str, Any]], how: str) -> Block:
    """Three lines per algorithm: ours, its standard error, the reference; and the bound."""
    mine = [row for row in rows if row["flips"] == how]
    probabilities = list(dict.fromkeys(row["p"] for row in mine))
    lines = []
    for title in dict.fromkeys(row["title"] for row in mine):
        of_title = [row for row in mine if row["title"] == title]
        decimals = 3 if title == ALGORITHMS["mark0"] else 4
        lines.append([title, *(number(row["ratio"]) for row in of_title)])
        lines.append(["  ±", *(number(row["standard_error"], "±") for row in of_title)])
        if any(row["reference"] is not None for row in of_title):
            lines.append(["  ref", *(number(row["reference"], decimals=decimals) for row in of_title)])
        lines.append(["  bound", *(number(row["bound"]) for row in of_title)])
    for row in rows:
        if row["flips"] is None:
            lines.append([row["title"], *[number(row["ratio"])] * len(probabilities)])
    return Block(f"misses / optimum, {FLIPS[how]} with probability p", ["p", *(f"{p:g}" for p in probabilities)], lines)


def _finding(mine: list[dict[str, Any]], lru: float) -> str:
    """Say who is best up to which probability, LRU included."""
    probabilities = sorted({row["p"] for row in mine if row["p"] > 0})
    return finding(
        {p: {row["title"]: row["ratio"] for row in mine if row["p"] == p} | {"LRU": lru} for p in probabilities}
    )


def _draw(rows: list[dict[str, Any]], flips: Sequence[str], totals: Totals) -> Figure:
    from matplotlib.lines import Line2D

    from ...sim.picture import Picture

    figure = Picture(figsize=(2.2 + 4.3 * len(flips), 6.2), layout="constrained")
    panels = figure.subplots(1, len(flips), sharey=True, squeeze=False)[0]
    level = {row["policy"]: row["ratio"] for row in rows if row["flips"] is None}
    for axes, how in zip(panels, flips, strict=True):
        mine = [row for row in rows if row["flips"] == how]
        _panel(axes, mine, level)
        axes.set_title(f"{FLIPS[how]}\n{_finding(mine, level['lru'])}", fontsize=9.5)
    panels[0].set_ylabel("misses / misses of the optimum")
    handles, labels = panels[0].get_legend_handles_labels()
    handles.append(Line2D([], [], color="0.3", lw=0.9, ls=":"))
    labels.append("proven bound\n(in the algorithm's\ncolour)")
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=9)
    figure.suptitle(
        f"Paging with succinct predictions: {totals.traces} traces, k = {totals.k}, seeds: {len(totals.seeds)}",
        fontsize=11,
    )
    return figure


def _panel(axes: Axes, mine: list[dict[str, Any]], level: dict[str, float]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

    for algorithm, title in ALGORITHMS.items():
        points = [row for row in mine if row["title"] == title]
        x = [row["p"] for row in points]
        colour = _COLOURS[algorithm]
        axes.errorbar(
            x,
            [row["ratio"] for row in points],
            yerr=[row["standard_error"] or 0.0 for row in points],
            color=colour,
            marker=_MARKS[algorithm],
            ms=4.5,
            lw=1.7,
            ls="--" if algorithm == "mark0" else "-",  # often it covers another
            label=title,
        )
        if algorithm != "mark0":  # its bound is that of the other Mark0
            axes.plot(x, [row["bound"] for row in points], color=colour, lw=0.9, ls=":")
    axes.axhline(level["lru"], color="0.55", lw=1.4, label="LRU")
    axes.axhline(level[BELADY], color="black", lw=1.2, ls="--", label="optimum (Belady)")
    shown = sorted({row["p"] for row in mine})
    axes.set_xscale("symlog", linthresh=0.001, linscale=0.5)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda p, _: f"{p:g}".replace("0.", ".")))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlim(-0.0002, 0.6)
    axes.set_yscale("log")
    ticks = [1, 1.2, 1.5, 2, 3, 5, 8]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(0.96, 9.5)
    axes.set_xlabel("probability p that a bit is flipped")
    axes.grid(alpha=0.25)
