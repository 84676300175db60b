"""What each part of the learned policy is worth: trained without it, with the same budget on the same traces.

Every variant is trained anew on the traces `TRAINED_ON` and judged on the first five seeds of the workload, which it has not
seen. Budgets are small, so that one takes a minute or so: the numbers compare variants, and are below what more training gives.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..page import Block
from .cold_rl_cells import Rows
from .cold_rl_numbers import half_interval, short

if TYPE_CHECKING:
    from ...rl.learn.plan import Training
    from ..journal import Journal

__all__ = ["BUDGET", "JUDGED_ON", "TRAINED_ON", "Ablation", "measure", "part", "plan"]

TRAINED_ON = tuple(f"trap:seed={seed}" for seed in range(2000, 2008))
JUDGED_ON = tuple(range(5))
SIZES_MIB = (25, 100)

BUDGET: dict[str, Any] = {
    "sizes": tuple(f"{mib}MiB" for mib in SIZES_MIB), "ttl": "trace",
    "warm_start": 8_000, "rounds": 2, "fit_steps": 2_000, "decisions": 24_000, "judge_every": 8_000,
}  # fmt: skip
"""Of every variant, but for what it leaves out."""

_NO_GHOSTS = "age_s,size_bytes,hits,gap_s,ttl_left_s,origin_s,idle_s"
_COLD = {"warm_start": 0}

VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "features": {
        "all": {},
        "paper's six": {"features": "paper"},
        "without ghosts": {"features": _NO_GHOSTS},
    },
    "candidates": {
        "K = 64, 8 of the tail": {},
        "K = 64, all of the tail": {"tail": 64},
        "K = 32, 8 of the tail": {"k": 32},
        "K = 32, all of the tail": {"k": 32, "tail": 32},
        "K = 16, 8 of the tail": {"k": 16},
        "K = 16, all of the tail": {"k": 16, "tail": 16},
    },
    "stages": {
        "warm start and DQN": {},
        "warm start only": {"decisions": 0},
        "DQN only": _COLD,
    },
    "reward and loss (DQN only)": {
        "bounded, all candidates": _COLD,
        "bounded, victims only": {**_COLD, "hindsight": False},
        "paper's reward": {**_COLD, "hindsight": False, "reward": "paper"},
    },
    "network (DQN only)": {
        "set": _COLD,
        "flat": {**_COLD, "network": "flat"},
    },
}
"""By what is varied: each variant, and in what it differs from the whole."""

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Ablation:
    """One variant to be trained and judged.

    Attributes
    ----------
    title : str
        The first name that it has in `VARIANTS`.
    training : Training
    folder : Path
        Gets the model.
    traces : tuple of str
        What it is trained on.
    seeds : tuple of int
        What it is judged on.
    """

    title: str
    training: Training
    folder: Path
    traces: tuple[str, ...] = TRAINED_ON
    seeds: tuple[int, ...] = JUDGED_ON

    @property
    def key(self) -> str:
        """What its rows depend on."""
        return json.dumps(["ablation", dataclasses.asdict(self.training), self.traces, self.seeds])

    def rows(self, report: Report | None = None, *, resume: bool = False) -> Rows:
        """Train and judge; the rows say nothing of the names it has."""
        from ...policies.cache.learned.cold_rl import ColdRl
        from ...rl.learn.train import train
        from ...sim.runs import plan_runs
        from ...traces.generate import generate

        begun = time.perf_counter()
        train([generate(name) for name in self.traces], self.folder, self.training, report=report, resume=resume)
        seconds = time.perf_counter() - begun
        names = [trace.partition(":")[2] for trace in self.traces]
        words = [",".join(word for word in name.split(",") if not word.startswith("seed=")) for name in names]
        held_out = [generate(f"trap:{words[0]},seed={seed}".replace(":,", ":")) for seed in self.seeds]
        runs = plan_runs(held_out, [ColdRl(str(self.folder))], self.training.sizes, ttl=self.training.ttl)
        rows = []
        for run in runs:
            row = run.rows()[0]
            rows.append(
                {
                    "part": "ablation",
                    "seed": int(run.trace.provenance.options["seed"]),
                    "capacity": run.capacity.label,
                    "hit_ratio": 1 - row["miss_ratio"],
                    "byte_hit_ratio": 1 - row["byte_miss_ratio"],
                    "trained_s": round(seconds, 1),
                }
            )
        return rows


def plan(
    folder: Path,
    *,
    budget: dict[str, Any] = BUDGET,
    traces: Sequence[str] = TRAINED_ON,
    seeds: Sequence[int] = JUDGED_ON,
) -> list[Ablation]:
    """List the variants, each once, whatever number of names it has."""
    from ...rl.learn.plan import Training

    found: dict[str, Ablation] = {}
    for some in VARIANTS.values():
        for title, differs in some.items():
            one = Ablation(
                title, Training(**{**budget, **differs}), folder / _file(differs), tuple(traces), tuple(seeds)
            )
            found.setdefault(one.key, one)
    return list(found.values())


def measure(
    ablations: Sequence[Ablation], journal: Journal, report: Report | None = None, *, resume: bool = False
) -> dict[str, Rows]:
    """Train and judge what the journal does not hold, one after the other; return the rows by key."""
    for number, one in enumerate(ablations, 1):
        if one.key not in journal.finished:
            told = None if report is None else _numbered(report, f"{number} of {len(ablations)}, {one.title}")
            journal.add(one.key, one.rows(told, resume=resume))
    return {one.key: journal.finished[one.key] for one in ablations}


def part(
    found: dict[str, Rows],
    *,
    budget: dict[str, Any] = BUDGET,
    traces: Sequence[str] = TRAINED_ON,
    seeds: Sequence[int] = JUDGED_ON,
) -> tuple[Rows, list[Block], list[str]]:
    """Lay out what came of the variants: rows, tables, remarks."""
    by_key = {one.key: one for one in plan(Path(), budget=budget, traces=traces, seeds=seeds)}
    from ...rl.learn.plan import Training

    rows: Rows = []
    lines: list[list[str]] = []
    sizes = list(budget["sizes"])
    for varied, some in VARIANTS.items():
        lines.append([varied, *[""] * (2 * len(sizes) + 1)])
        for title, differs in some.items():
            key = Ablation(title, Training(**{**budget, **differs}), Path(), tuple(traces), tuple(seeds)).key
            if key not in by_key or key not in found:
                continue
            mine = [{**row, "varied": varied, "variant": title} for row in found[key]]
            rows += mine
            line = [f"  {title}"]
            for size in sizes:
                ratios = [row["hit_ratio"] for row in mine if row["capacity"] == size]
                line += [short(sum(ratios) / len(ratios)), short(half_interval(ratios), "±")]
            lines.append([*line, f"{mine[0]['trained_s']:.0f}"])
    header = ["trained", *(cell for size in sizes for cell in (size, "±")), "s"]
    remark = (
        f"Ablations: each variant is trained on {len(traces)} traces of trap ({traces[0]} to {traces[-1]}; a quarter of them "
        f"chooses the best state) with {budget['warm_start']:,} decisions in hindsight, {budget['rounds']} times, and "
        f"{budget['decisions']:,} of the DQN, and judged on seeds {', '.join(map(str, seeds))}. s: seconds of training on the "
        "machine above. What leaves out a stage is given no more of the other. One training per variant: the interval is that "
        "of the judging traces and does not hold what another seed of the training would change."
    )
    return rows, [Block("ablations: hit ratio", header, lines)], [remark]


def _file(differs: dict[str, Any]) -> str:
    """Name the folder of a variant by what it differs in."""
    text = "-".join(f"{name}_{value}" for name, value in sorted(differs.items()))
    return text.replace(_NO_GHOSTS, "no_ghosts") or "whole"


def _numbered(report: Report, words: str) -> Report:
    return lambda stage, done, total: report(f"ablation {words}: {stage}", done, total)
