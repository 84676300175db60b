"""The page of a check of attention caches: tables of predicted beside measured, and the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..page import Block

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["TITLE", "blocks_of", "draw", "page", "summary"]

TITLE = "Attention caches: the simulator beside real tensors"


def blocks_of(rows: Sequence[dict[str, Any]], closed: Sequence[dict[str, Any]]) -> list[Block]:
    """The tables: slots and bytes, output errors, step times, whole model."""
    found = [_slots(rows), _errors(rows)]
    times = [row for row in rows if row["unit"] == "s"]
    if times:
        found.append(_times(times))
    if closed:
        found.append(_closed(closed))
    return found


def summary(rows: Sequence[dict[str, Any]], closed: Sequence[dict[str, Any]]) -> list[Block]:
    """What fits a terminal: a line per policy and budget, then one per policy in the whole model."""
    by: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        by.setdefault((row["policy"], row["budget"]), []).append(row)
    lines = []
    for (policy, budget), mine in by.items():
        held = {row["quantity"]: row for row in mine}
        if "log" in held:
            lines.append([policy, budget, *"-" * 5, held["log"]["verdict"].partition(":")[0]])
            continue
        error = held["output error, sdpa"]
        times = [row["predicted"] / row["measured"] - 1 for row in mine if row["verdict"] in ("close", "off")]
        exact = {row["verdict"] for row in mine if row["unit"] == "B"}
        wrong = any(row["verdict"] == "differs" for row in mine)
        lines.append(
            [
                policy,
                budget,
                "equal" if held["retained sets"]["verdict"] == "same" else "differ",
                "equal" if exact == {"same"} else "differ",
                f"{error['predicted']:.4f}",
                f"{error['measured']:.4f}",
                f"{sorted(times)[len(times) // 2]:+.0%}" if times else "-",
                "**differs**" if wrong else "ok",
            ]
        )
    header = ["policy", "budget", "slots", "bytes", "error", "measured", "time", "verdict"]
    found = [Block("Predicted beside measured (time: of steps that were not fitted)", header, lines)]
    if closed:
        names = ("full_nll", "nll", "top1_agreement", "jaccard", "open_output_error", "output_error")
        whole = [[row["policy"], row["budget"], *(f"{row[name]:.3f}" for name in names)] for row in closed]
        titles = ["policy", "budget", "NLL full", "NLL", "top-1", "Jaccard", "error", "closed"]
        found.append(Block("Whole model", titles, whole))
    return found


def page(blocks: Sequence[Block], facts: dict[str, str], notes: Sequence[str], picture: str | None) -> str:
    """As Markdown."""
    parts = [f"# {TITLE}", "\n".join(f"- {name}: {value}" for name, value in facts.items()), *notes]
    if picture is not None:
        parts.append(f"![{TITLE}]({picture})")
    return "\n\n".join([*parts, *(block.markdown() for block in blocks)]) + "\n"


def _slots(rows: Sequence[dict[str, Any]]) -> Block:
    """One line per policy and budget; a number that is predicted exactly is written once."""
    lines: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        line = lines.setdefault((row["policy"], row["budget"]), [row["policy"], row["budget"]])
        if row["quantity"] == "retained sets":
            line.append(f"{row['measured']:,} of {row['predicted']:,}")
        elif row["unit"] == "B":
            line += [_bytes(row["predicted"]), _bytes(row["measured"])]
            if row["quantity"] == "peak bytes":
                line.append(_bytes(row["padding_bytes"]))
                line.append(_verdict(rows, row))
        elif row["quantity"] == "log":
            line += ["-"] * 6 + [row["verdict"].partition(":")[0]]
    header = ["policy", "budget", "sets equal", "resident, predicted", "measured", "peak, predicted", "measured"]
    return Block("Slots and bytes", [*header, "padding", "verdict"], list(lines.values()))


def _verdict(rows: Sequence[dict[str, Any]], about: dict[str, Any]) -> str:
    mine = [row for row in rows if all(row[name] == about[name] for name in ("policy", "budget"))]
    exact = [row["verdict"] for row in mine if row["quantity"] == "retained sets" or row["unit"] == "B"]
    return "same" if set(exact) == {"same"} else "**differs**"


def _errors(rows: Sequence[dict[str, Any]]) -> Block:
    lines = []
    for row in rows:
        if row["quantity"].startswith("output error"):
            numbers = [f"{row[name]:.6f}" for name in ("predicted", "measured")]
            away = [f"{row[name]:.1e}" for name in ("mean_difference", "difference", "tolerance")]
            verdict = row["verdict"] if row["verdict"] == "within" else f"**{row['verdict']}**"
            how = row["quantity"].rpartition(" ")[2]
            lines.append([row["policy"], row["budget"], how, *numbers, *away, verdict])
    header = [
        "policy",
        "budget",
        "attention",
        "predicted",
        "measured",
        "off, mean",
        "off, worst query",
        "its tolerance",
    ]
    return Block("Output error (relative, mean over queries)", [*header, "verdict"], lines)


def _times(rows: Sequence[dict[str, Any]]) -> Block:
    lines = []
    for row in rows:
        predicted = "-" if row["predicted"] != row["predicted"] else f"{row['predicted'] * 1e6:,.1f}"
        off = "-" if predicted == "-" else f"{(row['predicted'] / row['measured'] - 1):+.1%}"
        size = [f"{row['copies']}", f"{row['layers']}", _bytes(row["read_bytes"]), _bytes(row["moved_bytes"])]
        measured = [f"{row['measured'] * 1e6:,.1f}", f"{row['iqr_s'] * 1e6:,.1f}"]
        lines.append([row["policy"], row["budget"], *size, predicted, *measured, off, row["verdict"]])
    header = ["policy", "budget", "copies", "layers", "read", "moved", "predicted us", "measured us", "IQR us", "off"]
    return Block("Step time (half is fitted, the other half predicted)", [*header, "verdict"], lines)


def _closed(rows: Sequence[dict[str, Any]]) -> Block:
    names = ("nll", "full_nll", "top1_agreement", "jaccard", "jaccard_first_layer", "jaccard_worst_layer")
    lines = [
        [row["policy"], row["budget"], *(f"{row[name]:.3f}" for name in (*names, "open_output_error", "output_error"))]
        for row in rows
    ]
    header = ["policy", "budget", "NLL", "NLL, full", "top-1 agrees", "Jaccard", "layer 0", "worst layer"]
    return Block("Whole model (closed loop) against replay (open loop)", [*header, "error, open", "closed"], lines)


def _bytes(count: float) -> str:
    return f"{count:,.0f}"


def draw(rows: Sequence[dict[str, Any]]) -> Figure:
    """Measured against predicted: bytes, output errors, step times that were not fitted."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    panels = (
        ("resident MB, mean", [row for row in rows if row["quantity"] == "resident bytes, mean"], 1e-6),
        ("output error (sdpa)", [row for row in rows if row["quantity"] == "output error, sdpa"], 1.0),
        ("step time, us (not fitted)", [row for row in rows if row["verdict"] in ("close", "off")], 1e6),
    )
    colours = {policy: f"C{place}" for place, policy in enumerate(dict.fromkeys(row["policy"] for row in rows))}
    axes = figure.subplots(1, 3)
    for place, (title, some, scale) in zip(axes, panels, strict=True):
        _panel(place, title, some, scale, colours)
    handles, labels = axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 6), frameon=False)
    return figure


def _panel(axes: Axes, title: str, rows: Sequence[dict[str, Any]], scale: float, colours: dict[str, str]) -> None:
    axes.set_title(title)
    axes.set_xlabel("predicted")
    axes.set_ylabel("measured")
    for policy in dict.fromkeys(row["policy"] for row in rows):
        mine = [row for row in rows if row["policy"] == policy]
        x, y = ([row[name] * scale for row in mine] for name in ("predicted", "measured"))
        spread = [row.get("iqr_s", 0.0) * scale / 2 for row in mine]
        axes.errorbar(x, y, yerr=spread, fmt="o", markersize=5, alpha=0.7, color=colours[policy], label=policy)
    if rows:
        ends = [row[name] * scale for row in rows for name in ("predicted", "measured")]
        low, high = min(ends), max(ends)
        axes.plot([low, high], [low, high], color="0.6", linewidth=1, zorder=0)
        if scale == 1e6 and low > 0:  # times differ by factors of hundreds
            axes.set_xscale("log")
            axes.set_yscale("log")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_minor_formatter("")
