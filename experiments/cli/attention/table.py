"""Replays of attention as people read them: one table per budget, policies down, what is best of the contestants bold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....traces.units import format_bytes, format_count

if TYPE_CHECKING:
    from rich.console import Console

    from ....sim.attention.sweep import AttentionTable
    from ....traces.attention import AttentionTrace

__all__ = ["print_attention"]

_COLUMNS: tuple[tuple[list[str], str, str], ...] = (
    (["kept", "%"], "mass", "percent"),
    (["no", "sink"], "mass_beyond_sink", "percent"),
    (["worst", "5 %"], "mass_worst", "percent"),
    (["top", "16"], "recall", "percent"),
    (["re-", "gret"], "regret", "percent"),
    (["head", "error"], "output_error", "error"),
    (["layer", "error"], "projected_error", "error"),
    (["slots", ""], "live_slots", "count"),
    (["bytes", ""], "resident_bytes", "bytes"),
    (["read", "/step"], "read_bytes_per_step", "bytes"),
    (["us", "/step"], "step_us", "count"),
)
"""Heading, column and kind of number."""

_HIGHER = {"mass", "mass_beyond_sink", "mass_worst", "recall"}
_LOWER = {"output_error", "projected_error", "regret"}


def print_attention(console: Console, trace: AttentionTrace, table: AttentionTable, protect: str) -> None:
    """Print a table per budget.

    Parameters
    ----------
    console : Console
    trace : AttentionTrace
    table : AttentionTable
    protect : str
    """
    from rich.text import Text

    from ..table import print_table

    facts = trace.facts()
    console.print(
        Text.assemble((trace.name, "bold"), f"  {facts['model']}, layers {facts['layers']}, heads {facts['heads']}")
    )
    console.print(Text(f"prompt {facts['prompt']}, decode {facts['decode']}; protected: {protect}", style="dim"))
    future = "; * knows the future" if any(row["oracle"] for row in table.rows) else ""
    console.print(Text(f"means over steps, layers and heads{future}", style="dim"))
    if any(row["prompt_only"] and row["policy"] != "full" for row in table.rows):
        console.print(Text("+ cuts the prompt only, as published: generated tokens come on top (slots)", style="dim"))
    for budget in dict.fromkeys(row["budget"] for row in table.rows):
        mine = [row for row in table.rows if row["budget"] == budget]
        policies = list(dict.fromkeys(row["policy"] for row in mine))
        means = {policy: _mean([row for row in mine if row["policy"] == policy]) for policy in policies}
        slots = sorted({row["budget_slots"] for row in mine})
        console.print()
        said = f"budget {budget}"
        if budget.endswith("%"):
            said += (
                f" = {slots[0]} slots per KV head"
                if len(slots) == 1
                else f" = {slots[0]}-{slots[-1]} slots per KV head"
            )
        console.print(Text(said, style="bold"))
        columns: list[tuple[list[str], list[Any]]] = []
        for heading, column, kind in _COLUMNS:
            if any(column not in means[policy] for policy in policies):
                continue  # was not asked for
            if all(means[policy][column] != means[policy][column] for policy in policies):
                continue  # the trace holds no output projection
            if column == "recall" and any(mean["regret"] == mean["regret"] for mean in means.values()):
                continue  # room for one of the two
            if kind == "bytes" and column == "read_bytes_per_step" and not _reads_less(means):
                continue
            best = _best(means, column)
            cells = [
                Text(_cell(means[policy][column], kind), style="bold" if policy in best else "") for policy in policies
            ]
            columns.append((heading, cells))
        names = [Text(policy + _mark(policy, means[policy])) for policy in policies]
        print_table(console, (["policy"], names), columns)
    full = table.rows[0]["full_bytes"]
    console.print(Text(f"\nuncompressed at the end: {format_bytes(full)}", style="dim"))


def _mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    columns = [column for _, column, _ in _COLUMNS if column in rows[0]]
    means: dict[str, Any] = {column: sum(row[column] for row in rows) / len(rows) for column in columns}
    return means | {name: rows[0][name] for name in ("oracle", "prompt_only")}


def _mark(policy: str, mean: dict[str, Any]) -> str:
    if mean["oracle"]:
        return " *"
    return " +" if mean["prompt_only"] and policy != "full" else ""


def _reads_less(means: dict[str, dict[str, Any]]) -> bool:
    """Whether somebody reads a part of what is resident only."""
    return any(mean["read_bytes_per_step"] < 0.95 * mean["resident_bytes"] for mean in means.values())


def _best(means: dict[str, dict[str, Any]], column: str) -> set[str]:
    """Contestants that show the best value; none where there is no contest. Whoever holds more than the budget is none."""
    if column not in _HIGHER | _LOWER:
        return set()
    kind = "percent" if column in _HIGHER | {"regret"} else "error"
    shown = {
        policy: _cell(mean[column], kind)
        for policy, mean in means.items()
        if not mean["oracle"] and not mean["prompt_only"] and policy != "full" and mean[column] == mean[column]
    }
    if len(shown) < 2:
        return set()
    wanted = (max if column in _HIGHER else min)(shown.values(), key=float)
    return {policy for policy, text in shown.items() if text == wanted}


def _cell(value: float, kind: str) -> str:
    if value != value:
        return "-"
    if kind == "percent":
        return f"{100 * value:.1f}"
    if kind == "error":
        return f"{value:.3f}"
    if kind == "bytes":
        return format_bytes(round(value))
    return format_count(round(value))
