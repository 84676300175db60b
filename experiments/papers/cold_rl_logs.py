"""Cold-RL on real logs: trained on the first 70 % of each, judged on the next 15 %, and compared on what comes after.

Each log has a model of its own. It is compared with every online policy of the registry, of which the best is chosen after the
fact. What counts is the last 15 %, which no training and no choice of a model has seen; the last 30 %, of which the first half
chose the model, stands beside it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...traces.errors import TraceError, UsageError
from ..page import Block
from .cold_rl_cells import LEARNED, Rows, contestants

if TYPE_CHECKING:
    from ...rl.learn.plan import Training
    from ...traces.request import RequestTrace
    from ..journal import Journal

__all__ = ["COUNTED", "MOST_BEHIND", "SIZES", "TRAINING", "Log", "measure", "part", "plan"]

SIZES = ("0.3%", "1%", "10%", "25%")
"""Of the footprint."""

COUNTED = {"last 15 %": 0.85, "last 30 %": 0.70}
"""What is replayed and not counted, by what is."""

MOST_BEHIND = 0.005
"""The aim: never further below the best classical policy than this; hits over requests."""

TRAINING: dict[str, Any] = {
    "warm_start": 10_000, "rounds": 2, "fit_steps": 2_000, "decisions": 20_000, "judge_every": 5_000,
}  # fmt: skip
"""How each log's model is trained; see `evictlab.rl.learn.plan.Training`."""

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Log:
    """One log to be trained on and judged on.

    Attributes
    ----------
    trace : RequestTrace
    training : Training
    folder : Path
        Gets the model.
    """

    trace: RequestTrace
    training: Training
    folder: Path

    @property
    def key(self) -> str:
        """What its rows depend on."""
        about = self.trace.provenance
        who = [*contestants(), list(COUNTED.values())]
        training = dataclasses.asdict(self.training)
        return json.dumps(["log", about.sources, about.options, len(self.trace), who, training], default=str)

    def rows(self, report: Report | None = None, *, resume: bool = False) -> Rows:
        """Train, and replay the end of the log with everybody; by the model that comes along where there is too little."""
        from ...policies.cache.learned.cold_rl import ColdRl
        from ...rl.learn.train import train
        from ...sim.runs import plan_runs

        learned, why = [ColdRl(str(self.folder))], ""
        try:
            train([self.trace], self.folder, self.training, report=report, resume=resume)
        except UsageError as error:
            learned, why = [ColdRl()], str(error)
        rows: Rows = []
        for counted, warmup in COUNTED.items():
            runs = plan_runs(
                [self.trace], [*contestants(), *learned], self.training.sizes, ttl=self.training.ttl, warmup=warmup
            )
            for run in runs:
                row = run.rows()[0]
                kind = LEARNED if run.policy in learned else "online"
                rows.append(
                    {
                        "part": "log",
                        "trace": self.trace.name,
                        "capacity": run.capacity.label,
                        "counted": counted,
                        "kind": kind,
                        "policy": LEARNED if kind == LEARNED else row["policy"],
                        "requests": row["requests"],
                        "hit_ratio": 1 - row["miss_ratio"],
                        "byte_hit_ratio": None if row["byte_miss_ratio"] is None else 1 - row["byte_miss_ratio"],
                        "not_trained": why or None,
                    }
                )
        return rows


def plan(logs: Path, folder: Path, *, sizes: Sequence[str] = SIZES, training: dict[str, Any] = TRAINING) -> list[Log]:
    """Open all logs of a folder.

    Raises
    ------
    UsageError
        There is none that can be read.
    """
    from ...rl.learn.plan import Training
    from ...traces.open import open_trace

    if not logs.is_dir():
        raise UsageError(f"{logs} is no folder; --logs names the folder in which the logs lie")
    opened, bad = [], []
    for path in sorted(logs.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            try:
                trace = open_trace(path)
            except TraceError as error:
                bad.append(str(error))
                continue
            if trace.sizes is not None:
                how = Training(**{**training, "sizes": tuple(sizes), "ttl": None if trace.ttls is None else "trace"})
                opened.append(Log(trace, how, folder / path.name.partition(".")[0]))
            else:
                bad.append(f"{path} has no sizes")
    if not opened:
        raise UsageError(f"{logs} holds no log that can be trained on. {'; '.join(bad) or 'It is empty.'}")
    return opened


def measure(logs: Sequence[Log], journal: Journal, report: Report | None = None, *, resume: bool = False) -> Rows:
    """Train and judge what the journal does not hold, one log after the other; return the rows of all."""
    for log in logs:
        if log.key not in journal.finished:
            told = None if report is None else _named(report, log.trace.name)
            journal.add(log.key, log.rows(told, resume=resume))
    return [row for log in logs for row in journal.finished[log.key]]


def part(rows: Rows) -> tuple[Rows, list[Block], list[str]]:
    """Lay out what came of it: rows, tables, remarks; the losing cases by name."""
    blocks, behind, cells, untrained = [], [], 0, {}
    for counted in dict.fromkeys(row["counted"] for row in rows):
        lines = []
        for trace in dict.fromkeys(row["trace"] for row in rows):
            for capacity in dict.fromkeys(row["capacity"] for row in rows if row["trace"] == trace):
                mine = [
                    row for row in rows if (row["counted"], row["trace"], row["capacity"]) == (counted, trace, capacity)
                ]
                best = max((row for row in mine if row["kind"] == "online"), key=lambda row: row["hit_ratio"])
                lru = next(row for row in mine if row["policy"] == "lru")
                own = next(row for row in mine if row["kind"] == LEARNED)
                if own["not_trained"]:
                    untrained[trace] = own["not_trained"]
                ahead = own["hit_ratio"] - best["hit_ratio"]
                passed = ahead >= -MOST_BEHIND
                if counted == next(iter(COUNTED)):
                    cells += 1
                    if ahead < 0:
                        behind.append((ahead, f"{trace} at {capacity}: {100 * ahead:+.2f} points to {best['policy']}"))
                name = _brief(trace) + " *" * bool(own["not_trained"])
                lines.append(
                    [
                        name, capacity, _percent(own), _percent(best), best["policy"], _percent(lru),
                        f"{100 * ahead:+.2f}", "pass" if passed else "**FAIL**",
                    ]
                )  # fmt: skip
        header = ["log", "size", "learned", "best", "who", "lru", "ahead", ""]
        blocks.append(Block(f"logs, hit ratio in percent, {counted} counted", header, lines))
    lost = [text for _, text in sorted(behind)]
    failed = sum(ahead < -MOST_BEHIND for ahead, _ in behind)
    remark = (
        "Logs: a model per log, trained on its first 70 %, of which the best state on the next 15 % is kept. Best: of all "
        f"online policies, chosen after the fact. In the last 15 %, which nothing has seen, the learned policy is behind the "
        f"best in {len(lost)} of {cells} cells, and by more than {100 * MOST_BEHIND:g} points, the aim, in {failed}."
        + (f" Behind: {'; '.join(lost)}." if lost else "")
        + "".join(f" * Too little to learn from, judged by the model of trap: {why}." for why in untrained.values())
    )
    return rows, blocks, [remark]


def _percent(row: dict[str, Any]) -> str:
    return f"{100 * row['hit_ratio']:.2f}"


def _brief(name: str) -> str:
    return name.partition(".")[0][:18]


def _named(report: Report, name: str) -> Report:
    return lambda stage, done, total: report(f"{name}: {stage}", done, total)
