"""The picture of `evictlab reproduce cold-rl`: a dot with its interval per policy, one panel per clock and size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .cold_rl_cells import LEARNED
from .cold_rl_numbers import half_interval
from .cold_rl_verdicts import AIMS, PAPER, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

_COLOURS = {"online": "#0072b2", LEARNED: "#d55e00", "authors": "0.45", "ceiling": "#009e73", "offline": "black"}
_MARKS = {"online": "o", LEARNED: "D", "authors": "s", "ceiling": "^", "offline": "<"}
_SAYS = {
    "online": "online policy",
    LEARNED: "learned here",
    "authors": "authors' baseline, in their simulator",
    "ceiling": "told how likely each object is",
    "offline": "sees the future",
}


def draw(tables: Sequence[Table], *, canonical: bool) -> Figure:
    """Draw the sizes at which there is something to choose."""
    from ...sim.picture import Picture

    shown = [mib for mib in tables[0].sizes if any(table.gap_closed(LEARNED, mib) is not None for table in tables)]
    shown = shown or tables[0].sizes[:1]
    rows = len(tables[0].kinds)
    figure = Picture(figsize=(5.2 * len(shown), (0.155 * rows + 1.3) * len(tables) + 0.8), layout="constrained")
    grid = figure.subplots(len(tables), len(shown), squeeze=False)
    for table, line in zip(tables, grid, strict=True):
        for mib, axes in zip(shown, line, strict=True):
            _panel(axes, table, mib, canonical)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=8.5)
    return figure


def _panel(axes: Axes, table: Table, mib: int, canonical: bool) -> None:
    order = sorted(table.kinds, key=lambda who: table.mean(who, mib))
    for kind, says in _SAYS.items():
        mine = [(place, who) for place, who in enumerate(order) if table.kinds[who] == kind]
        axes.errorbar(
            [table.mean(who, mib) for _, who in mine],
            [place for place, _ in mine],
            xerr=[half_interval(table.of(who, mib)) or 0.0 for _, who in mine],
            fmt=_MARKS[kind],
            color=_COLOURS[kind],
            ms=6 if kind == LEARNED else 4,
            lw=1.2,
            label=says,
            zorder=4 if kind == LEARNED else 3,
        )
    if canonical and mib in PAPER:
        classical, cold_rl = PAPER[mib]
        axes.axvline(classical, color="#cc79a7", lw=1.1, ls=":", label='paper: "best classical"')
        axes.axvline(cold_rl, color="#cc79a7", lw=1.1, ls="--", label="paper: Cold-RL")
        if mib == 25:
            axes.axvline(AIMS["hit_ratio"], color="#d55e00", lw=0.9, ls="-.", label="aim")
    axes.set_yticks(range(len(order)), order, fontsize=6.5)
    for text, who in zip(axes.get_yticklabels(), order, strict=True):
        text.set_color(_COLOURS[table.kinds[who]])
        if who == LEARNED:
            text.set_fontweight("bold")
    axes.set_ylim(-0.8, len(order) - 0.2)
    axes.set_xlabel("hit ratio, mean and 95 % interval over seeds", fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", alpha=0.3)
    best = table.best(mib)
    lead = table.mean(LEARNED, mib) - table.mean(best, mib)
    axes.set_title(
        f"{mib} MiB, {table.clock} clock: learned is {abs(lead):.3f} {'above' if lead > 0 else 'below'}\n"
        f"{best}, the best online policy",
        fontsize=9,
    )
