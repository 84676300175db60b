"""Learning-augmented paging: every algorithm with the same predictions, on the traces that the field compares on.

First the two simple predictors of the literature, PLECO and POPU; then the truth plus log-normal noise, from none to far
beyond the length of a trace. Tables and conventions: Antoniadis, Coester, Eliáš, Polák, Simon, "Online metric algorithms
with untrusted predictions", ICML 2020, and the programs and results that belong to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..page import Block, Reproduction, finding, number
from .brightkite import BELADY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .brightkite import Totals

__all__ = ["ALGORITHMS", "PLAIN", "PREDICTORS", "SIGMAS", "policies", "reproduction"]

SIGMAS: tuple[float, ...] = (0, 2, 5, 10, 20, 50, 100, 200)

PREDICTORS = {"pleco": "PLECO", "popu": "POPU"}

ALGORITHMS = {
    "blind_oracle": "BlindOracle",
    "ftp": "FtP",
    "predictive_marker:gamma=inf": "FtP-marking",
    "predictive_marker": "PredictiveMarker (L&V)",
    "lmarker": "LMarker",
    "follow_leader:gamma=0.01+lnonmarker+marker": "LNonMarker (with Marker)",
    "robust_ftp": "RobustFtP",
    "trust_doubt": "Trust&Doubt",
    "follower_robust": "F&R",
    "adaptive_query": "AdaptiveQuery",
    "guard": "Guard&BlindOracle",
}
"""Policies that read when each object is requested next."""

PLAIN = {
    "lru": "LRU",
    "marker": "Marker",
    "random": "Random",
    "clock": "CLOCK",
    "fifo": "FIFO",
    "sieve": "SIEVE",
    "equitable": "Equitable",
    BELADY: "Belady",
}
"""Policies that read no predictions."""

_OPT = 33_990

PUBLISHED: dict[str, tuple[float, ...]] = {
    "blind_oracle": (2.081, 1.707),
    "ftp": (2.081, 1.707),
    "predictive_marker:gamma=inf": (1.341, 1.262),
    "predictive_marker": (1.340, 1.262),
    "lmarker": (1.337, 1.264),
    "follow_leader:gamma=0.01+lnonmarker+marker": (1.332, 1.266),
    "robust_ftp": (1.336, 1.317),
    "trust_doubt": (1.292, 1.276),
}
"""With PLECO and with POPU: one run of the program of github.com/adampolak/mts-with-predictions; three decimals."""

PLAIN_PUBLISHED = {"lru": 43_883 / _OPT, "marker": 45_301.6 / _OPT, "random": 1.4313, BELADY: 1.0}
"""Stored results of github.com/adampolak/mts-with-predictions, means of 10 runs."""

NOISE_PUBLISHED: dict[str, tuple[float, ...]] = {
    "blind_oracle": (33990, 34083.7, 35779.9, 38378.7, 41820.9, 45282.8, 46822.9, 47592.9),
    "ftp": (33990, 34083.7, 35779.9, 38378.7, 41820.9, 45282.8, 46822.9, 47592.9),
    "predictive_marker:gamma=inf": (41648, 41744.4, 42090.5, 42656.3, 43626.8, 44321.2, 44508.9, 44543.4),
    "predictive_marker": (41648, 41744.7, 42092.0, 42658.9, 43634.6, 44332.9, 44519.5, 44554.7),
    "lmarker": (41648, 41753.0, 42130.7, 42758.8, 43792.9, 44493.0, 44666.7, 44694.7),
    "follow_leader:gamma=0.01+lnonmarker+marker": (
        41701.6,
        41755.4,
        42062.4,
        42682.5,
        43809.3,
        44584.4,
        44787.9,
        44836.1,
    ),
    "robust_ftp": (34325.5, 34400.3, 36109.4, 38737.2, 42127.2, 44264.4, 44783.6, 44997.6),
    "trust_doubt": (40432, 40510.9, 41224.7, 41900.6, 42516.9, 43074.6, 43253.7, 43354.4),
}
"""Misses by sigma: stored results of github.com/adampolak/mts-with-predictions, means of 10 runs."""

OWN: dict[str, tuple[float, ...]] = {
    "follower_robust": (1.2903, 1.2750),
    "adaptive_query": (1.3405, 1.2797),
    "guard": (1.3038, 1.1994),
}
"""Where nothing is published for these traces: independent programs of this project, in plain Python, means of 5 runs."""

NOISE_OWN: dict[str, tuple[float, ...]] = {
    "follower_robust": (1.0, 1.0426, 1.1638, 1.2147, 1.2447, 1.2640, 1.2680, 1.2718),
    "adaptive_query": (1.2453, 1.2484, 1.2592, 1.2695, 1.2820, 1.2943, 1.2981, 1.2997),
    "guard": (1.0, 1.0088, 1.0817, 1.1509, 1.2208, 1.2757, 1.2905, 1.2986),
}

PLAIN_OWN = {"clock": 1.298, "fifo": 1.405, "sieve": 1.245, "equitable": 1.4796}

_STYLES: dict[str, tuple[str, str]] = {
    "blind_oracle": ("black", "-"),
    "ftp": ("0.6", (0, (1, 2))),  # type: ignore[dict-item]
    "predictive_marker:gamma=inf": ("#56b4e9", "-"),
    "predictive_marker": ("#0072b2", "--"),
    "lmarker": ("#6a3d9a", "-"),
    "follow_leader:gamma=0.01+lnonmarker+marker": ("#cc79a7", "-."),
    "robust_ftp": ("#e31a1c", "-"),
    "trust_doubt": ("#009e73", "-"),
    "follower_robust": ("#e69f00", "-"),
    "adaptive_query": ("#8c564b", "--"),
    "guard": ("#b2a400", "-"),
}


def _noisy(algorithm: str, sigma: float) -> str:
    return f"{algorithm}@lognormal:sigma={sigma:g}"


def policies() -> list[str]:
    """Return all that is to be replayed, as on the command line."""
    columns = [*PREDICTORS, *(f"lognormal:sigma={sigma:g}" for sigma in SIGMAS)]
    return [*PLAIN, *(f"{algorithm}@{who}" for algorithm in ALGORITHMS for who in columns)]


def reproduction(totals: Totals) -> Reproduction:
    """Put the sums of `policies` beside the references."""
    rows = []
    for algorithm, title in ALGORITHMS.items():
        known = PUBLISHED.get(algorithm) or OWN.get(algorithm) or (None,) * len(PREDICTORS)
        for (who, column), reference in zip(PREDICTORS.items(), known, strict=True):
            rows.append(
                _row("predictor", title, column, None, totals, f"{algorithm}@{who}", reference, algorithm in OWN)
            )
    for plain, title in PLAIN.items():
        reference = PLAIN_PUBLISHED.get(plain) or PLAIN_OWN.get(plain)
        rows.append(_row("none", title, None, None, totals, plain, reference, plain in PLAIN_OWN))
    for algorithm, title in ALGORITHMS.items():
        sums = NOISE_PUBLISHED.get(algorithm)
        ratios = NOISE_OWN[algorithm] if sums is None else tuple(total / _OPT for total in sums)
        for sigma, reference in zip(SIGMAS, ratios, strict=True):
            label = _noisy(algorithm, sigma)
            rows.append(_row("noise", title, None, sigma, totals, label, reference, sums is None))
    return Reproduction(
        name="predictions",
        title="Learning-augmented paging with PLECO, POPU, and noise",
        remarks=_remarks(totals, rows),
        rows=rows,
        blocks=[_predicted(rows), _plain(rows), _noise(rows)],
        draw=lambda: _draw(rows, totals),
    )


def _row(
    part: str,
    title: str,
    predictor: str | None,
    sigma: float | None,
    totals: Totals,
    label: str,
    reference: float | None,
    own: bool,
) -> dict[str, Any]:
    row = {"part": part, "title": title, "predictor": predictor, "sigma": sigma, **totals.row(label, reference)}
    known = row["reference"] is not None
    row["reference_from"] = ("own" if own else "published") if known else None
    row["eta_ratio"] = None if part == "none" else totals.ratio(label, "eta")
    return row


def _remarks(totals: Totals, rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"{totals.traces} traces, k = {totals.k}, misses over those of the optimum ({totals.opt:,}), both summed over the "
        f"traces; mean and standard error over seeds (seeds: {len(totals.seeds)}). Noise: the index of the next request plus a "
        "log-normal number, exp(sigma Z)."
    ]
    if not totals.canonical:
        return [
            *lines,
            "The references are for the 100 BrightKite traces at k = 10; these are others, so none is shown.",
        ]
    known = [row for row in rows if row["reference_from"] == "published"]
    worst = max(known, key=lambda row: abs(row["difference"]))
    lines.append(
        "ref: github.com/adampolak/mts-with-predictions (Antoniadis, Coester, Eliáš, Polák, Simon, ICML 2020): with PLECO and "
        "POPU one run of its program, three decimals; noise, LRU, Marker, Random and the optimum its stored results, means of "
        "10 runs. *: nothing is published for these traces; independent programs of this project instead. "
        "Two differences are known: that program's Random may evict while slots are free, which costs it 0.005; and its "
        "combined policies (RobustFtP, LNonMarker with Marker) evict what came longest ago where ours evict the least recently "
        "used, which misses less. "
        f"Largest difference to what is published: {worst['difference']:+.4f} ({worst['policy']})."
    )
    return lines


def _cells(row: dict[str, Any]) -> list[str]:
    """Ours, its standard error, the reference with as many decimals as it has, the difference."""
    reference = row["reference"]
    rounded = reference is not None and round(reference, 3) == reference
    return [
        number(row["ratio"]),
        number(row["standard_error"], "±").lstrip("±"),
        number(reference, decimals=3 if rounded else 4) + ("*" if row["reference_from"] == "own" else ""),
        number(row["difference"], "+"),
    ]


def _predicted(rows: list[dict[str, Any]]) -> Block:
    mine = [row for row in rows if row["part"] == "predictor"]
    lines = [
        [title, *(cell for row in mine if row["title"] == title for cell in _cells(row))]
        for title in ALGORITHMS.values()
    ]
    header = ["", *(word for who in PREDICTORS.values() for word in (who, "±", "ref", "diff"))]
    return Block("misses / optimum with a predictor", header, lines)


def _plain(rows: list[dict[str, Any]]) -> Block:
    lines = [[row["title"], *_cells(row)] for row in rows if row["part"] == "none"]
    return Block("misses / optimum without predictions", ["", "ratio", "±", "ref", "diff"], lines)


def _noise(rows: list[dict[str, Any]]) -> Block:
    lines = []
    for title in ALGORITHMS.values():
        mine = [row for row in rows if row["part"] == "noise" and row["title"] == title]
        star = "*" if mine[0]["reference_from"] == "own" else ""
        lines.append([title, *(number(row["ratio"]) for row in mine)])
        lines.append(["  ±", *(number(row["standard_error"], "±") for row in mine)])
        if mine[0]["reference"] is not None:
            lines.append([f"  ref{star}", *(number(row["reference"]) for row in mine)])
    return Block("misses / optimum with the truth plus log-normal noise", ["sigma", *map(str, SIGMAS)], lines)


def _draw(rows: list[dict[str, Any]], totals: Totals) -> Figure:
    from ...sim.picture import Picture

    figure = Picture(figsize=(14.5, 5.6), layout="constrained")
    dots, lines = figure.subplots(1, 2, width_ratios=[1, 1.15])
    _dots(dots, rows)
    _lines(lines, rows)
    figure.suptitle(
        f"Learning-augmented paging: {totals.traces} traces, k = {totals.k}, seeds: {len(totals.seeds)}", fontsize=11
    )
    return figure


def _dots(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """A line per algorithm, the lowest mean on top; hollow: the reference."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    shown = [row for row in rows if row["part"] in ("predictor", "none")]
    mean = {title: sum(r["ratio"] for r in shown if r["title"] == title) for title in {row["title"] for row in shown}}
    count = {title: sum(r["title"] == title for r in shown) for title in mean}
    order = sorted(mean, key=lambda title: mean[title] / count[title], reverse=True)
    looks = {"PLECO": ("#d55e00", "o"), "POPU": ("#0072b2", "s"), None: ("0.35", "D")}
    for who, (colour, mark) in looks.items():
        mine = [row for row in shown if row["predictor"] == who]
        y = [order.index(row["title"]) for row in mine]
        axes.plot([row["ratio"] for row in mine], y, mark, color=colour, ms=6, ls="", label=who or "no predictions")
        known = [(row["reference"], place) for row, place in zip(mine, y, strict=True) if row["reference"] is not None]
        if known:
            axes.plot(*zip(*known, strict=True), mark, mfc="none", color=colour, ms=10, ls="", alpha=0.6)
    axes.plot([], [], "o", mfc="none", color="0.35", ms=10, ls="", alpha=0.6, label="reference")
    lru = next(row["ratio"] for row in shown if row["policy"] == "lru")
    axes.axvline(lru, color="0.55", lw=1.2, zorder=0)
    axes.set_yticks(range(len(order)), order, fontsize=9)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.7, 2, 2.5, 3]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.25)
    axes.set_xlabel("misses / misses of the optimum (line: LRU)")
    axes.legend(frameon=False, fontsize=9, loc="upper right")
    better = {who: sum(row["ratio"] < lru for row in shown if row["predictor"] == who) for who in PREDICTORS.values()}
    words = ", ".join(f"{count} of {len(ALGORITHMS)} beat LRU with {who}" for who, count in better.items())
    axes.set_title(words, fontsize=10)


def _lines(axes: Axes, rows: list[dict[str, Any]]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    noise = [row for row in rows if row["part"] == "noise"]
    for algorithm, title in ALGORITHMS.items():
        mine = [row for row in noise if row["title"] == title]
        colour, dash = _STYLES[algorithm]
        axes.errorbar(
            [row["sigma"] for row in mine],
            [row["ratio"] for row in mine],
            yerr=[row["standard_error"] or 0.0 for row in mine],
            color=colour,
            ls=dash,
            marker="o",
            ms=3,
            lw=1.6,
            label=title,
        )
    level = {row["policy"]: row["ratio"] for row in rows if row["part"] == "none"}
    axes.axhline(level["lru"], color="0.55", lw=1.2, label="LRU", zorder=0)
    axes.axhline(level["marker"], color="0.55", lw=1.2, ls=":", label="Marker", zorder=0)
    axes.set_xscale("symlog", linthresh=2, linscale=0.4)
    axes.xaxis.set_major_locator(FixedLocator(list(SIGMAS)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(-0.4, 250)
    axes.set_xlabel("sigma of the log-normal noise on the index of the next request")
    axes.set_ylabel("misses / misses of the optimum")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5))
    by_sigma = {
        s: {r["title"]: r["ratio"] for r in noise if r["sigma"] == s} | {"LRU": level["lru"]} for s in SIGMAS[1:]
    }
    axes.set_title(finding(by_sigma), fontsize=10)
