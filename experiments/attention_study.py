"""Which metric of an attention trace tells how many answers survive eviction?

Every policy is run twice on the same sequences of the recall task, at every budget and protection: once in the model, where
answers are right or wrong (closed loop), and once against the attention that the uncompressed model had (open loop), which
gives the metrics that papers report. Then each metric's rank correlation with accuracy is taken over all these runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..traces.errors import UsageError
from .page import Block, Reproduction

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    from matplotlib.figure import Figure

    from .journal import Journal

__all__ = ["BUDGETS", "METRICS", "POLICIES", "PROTECTIONS", "measure", "plan", "reproduction"]

WINDOW = 8
"""Of policies that ask the last queries: the prompt has 128 tokens, so their usual 32 would be most of a budget."""

POLICIES = (
    "random",
    "window",
    "streaming_llm",
    "streaming_llm:reindex=false",
    "lru",
    "lfu",
    "s3fifo",
    "tova",
    "h2o",
    "scissorhands",
    "lazyeviction:window=8:alpha=0.01",
    "rkv:window=8:interval=8",
    "knorm:interval=1",
    "keydiff:interval=1",
    "snapkv:window=8:interval=1",
    "pyramidkv:window=8:interval=1",
    "adakv:window=8:interval=1",
    "criticalkv:window=8:interval=1",
    "defensivekv:window=8:interval=1",
    "cake:window=8",
    "compresskv:window=8:floor=8",
    "snapkv:window=8",
    "adakv:window=8",
    "criticalkv:window=8",
    "defensivekv:window=8",
    "layer_defensivekv:window=8",
    "expected_attention",
    "expected_attention:epsilon=0.01",
    "keydiff",
    "oracle",
    "belady_mass",
    "prompt_oracle",
)
"""Published ones, as prompt-time cuts and as hard caps while decoding, and three oracles."""

BUDGETS = ("24", "32", "48", "64", "96")
PROTECTIONS = ("none", "sink=1,recent=8")

METRICS = {
    "mass": "attention kept",
    "mass_beyond_sink": "kept without sinks",
    "mass_worst": "kept, worst 5 % of queries",
    "recall": "recall of top-4 keys",
    "recall_worst": "recall, worst 5 % of queries",
    "output_error": "output error, negated",
    "output_error_worst": "output error, worst 5 %",
    "live_slots": "slots alone",
}
"""What is correlated with accuracy; errors with their sign turned, so that a good metric is near +1."""

RESAMPLES = 2000
LEAST = 3
"""Policies below which there is nothing to rank."""

Run = tuple[str, str, str, int]
Rows = list[dict[str, Any]]


def plan(
    policies: Sequence[str] = POLICIES,
    budgets: Sequence[str] = BUDGETS,
    protections: Sequence[str] = PROTECTIONS,
    seeds: Sequence[int] = (0, 1, 2),
) -> list[Run]:
    """List the runs: policy, budget, protection, seed of the sequences.

    Raises
    ------
    UsageError
        A budget that is no number of slots, or a policy that is none, or too few policies that the budgets can hold: said
        before hours of runs.
    """
    from ..policies.kv.protect import BudgetError, Protect
    from ..policies.kv.registry import parse_kv_policy

    for budget in budgets:
        if not budget.isdigit():
            raise UsageError(f"a budget of the study is a number of slots, such as 64, not {budget!r}")
    fitting: list[tuple[str, str, str]] = []
    for policy in dict.fromkeys(policies):
        made = parse_kv_policy(policy)
        for budget in dict.fromkeys(budgets):
            for protection in protections:
                with suppress(BudgetError):  # a window larger than the budget: no such run
                    Protect.parse(protection).check(int(budget), made.forced, made.label)
                    fitting.append((policy, budget, protection))
    contestants = {policy for policy, _, _ in fitting if not parse_kv_policy(policy).oracle}
    if len(contestants) < LEAST:
        raise UsageError(
            f"a rank correlation over {len(contestants)} policies says nothing; name at least {LEAST} that the budgets can hold"
        )
    return [(*each, seed) for seed in seeds for each in fitting]


def measure(
    runs: Sequence[Run], journal: Journal, *, sequences: int = 24, progress: Callable[[int], None] | None = None
) -> Rows:
    """Do the runs that the journal does not hold, and return the rows of all."""
    from ..sim.attention.accuracy import RecallBench

    benches: dict[int, RecallBench] = {}
    for run in runs:
        key = json.dumps([*run, sequences])
        if key not in journal.finished:
            policy, budget, protect, seed = run
            if seed not in benches:
                benches = {seed: RecallBench(sequences, seed)}
            answers = benches[seed].run(policy, budget, protect=protect, seed=seed)
            found = benches[seed].metrics(policy, budget, protect=protect, seed=seed)
            row = {**answers.row(), **found, "policy": policy, "protect": protect, "seed": seed}
            journal.add(key, [row])
        if progress is not None:
            progress(1)
    return [row for run in runs for row in journal.finished[json.dumps([*run, sequences])]]


def reproduction(rows: Rows) -> Reproduction:
    """Say which metrics rank policies as answers do, and by how much."""
    import pandas as pd

    frame = pd.DataFrame(rows)
    cells = frame.groupby(["policy", "budget", "protect", "oracle"], sort=False).mean(numeric_only=True).reset_index()
    contest = cells[~cells["oracle"]].reset_index(drop=True)
    with_oracles = cells.reset_index(drop=True)
    table = {metric: _correlations(contest, metric) for metric in METRICS}
    return Reproduction(
        name="study",
        title="Which trace metric tells how many answers survive eviction",
        remarks=_remarks(frame, contest, table),
        rows=rows,
        blocks=[
            _block(table, with_oracles),
            _differences(table),
            *(_accuracies(cells, protect) for protect in cells["protect"].unique()),
        ],
        draw=lambda: _draw(cells, table),
    )


Interval = tuple[float, float, float]
Draws = tuple[list[float], list[float]]


def _correlations(cells: pd.DataFrame, metric: str) -> Draws:
    """Spearman's rho over all runs, and its mean within single budgets: first as they are, then with policies drawn anew.

    The draws are the same for every metric, so that metrics can be compared draw by draw.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    names = cells["policy"].unique()
    of = {name: np.flatnonzero(cells["policy"] == name) for name in names}
    x, y = _signed(cells, metric), cells["accuracy"].to_numpy()
    budget = cells["budget"].to_numpy()
    drawn = [np.concatenate([of[name] for name in rng.choice(names, len(names))]) for _ in range(RESAMPLES)]
    everything = np.arange(len(cells))
    over_all = [_spearman(x[take], y[take]) for take in (everything, *drawn)]
    within = [_within(x[take], y[take], budget[take]) for take in (everything, *drawn)]
    return over_all, within


def _interval(values: list[float]) -> Interval:
    import numpy as np

    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    return values[0], float(low), float(high)


def _signed(cells: pd.DataFrame, metric: str) -> npt.NDArray[np.float64]:
    values: Any = cells[metric].to_numpy()
    return -values if metric.startswith("output_error") else values  # type: ignore[no-any-return]


def _spearman(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    import numpy as np
    from scipy.stats import rankdata

    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def _within(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], budget: Any) -> float:
    import numpy as np

    found = [_spearman(x[budget == one], y[budget == one]) for one in np.unique(budget)]
    known = [rho for rho in found if rho == rho]  # a redrawn budget may hold one policy only
    return sum(known) / len(known) if known else float("nan")


def _remarks(frame: pd.DataFrame, contest: pd.DataFrame, table: dict[str, Draws]) -> list[str]:
    best = _best(table)
    level = [METRICS[metric] for metric in METRICS if metric != best and _behind(table, metric, best)[2] >= 0]
    others = f"; by these runs {', '.join(level)} cannot be told from it" if level else "; all others are behind"
    return [
        f"{frame['policy'].nunique()} policies, {frame['budget'].nunique()} budgets, {frame['protect'].nunique()} protections, "
        f"{frame['seed'].nunique()} sets of sequences; each point is the mean over the sets. Accuracy: share of queries that "
        "the recall model answers right from its evicted caches (closed loop). Metrics: the same policy replayed against the "
        "attention that the uncompressed model had on the same sequences (open loop).",
        f"Spearman's rank correlation over {len(contest)} points without oracles; intervals of 95 % come from drawing policies "
        f"anew {RESAMPLES:,} times, since points of one policy are alike. Budgets move every metric and accuracy alike, "
        "so the correlation within single budgets is the harder test. Policies that cut the prompt only hold more slots there.",
        f"Within budgets, {METRICS[best]} ranks best ({table[best][1][0]:.2f}){others}. "
        "One small model with one task: what it says of large models is not known.",
    ]


def _best(table: dict[str, Draws]) -> str:
    """The metric whose correlation within budgets is highest."""
    return max((metric for metric in METRICS if metric != "live_slots"), key=lambda metric: table[metric][1][0])


def _behind(table: dict[str, Draws], metric: str, best: str) -> Interval:
    """Correlation within budgets, less that of the best metric."""
    return _interval([ours - theirs for ours, theirs in zip(table[metric][1], table[best][1], strict=True)])


def _words(value: Interval, sign: str = "") -> str:
    return f"{value[0]:{sign}.2f} ({value[1]:{sign}.2f} to {value[2]:{sign}.2f})"


def _block(table: dict[str, Draws], with_oracles: pd.DataFrame) -> Block:
    lines = []
    for metric, title in METRICS.items():
        everyone = _spearman(_signed(with_oracles, metric), with_oracles["accuracy"].to_numpy())
        over_all, within = (_words(_interval(draws)) for draws in table[metric])
        lines.append([title, over_all, within, f"{everyone:.2f}"])
    return Block(
        "Spearman's rank correlation with accuracy", ["metric", "all points", "within budgets", "+ oracles"], lines
    )


def _differences(table: dict[str, Draws]) -> Block:
    best = _best(table)
    lines = [[METRICS[metric], _words(_behind(table, metric, best), "+")] for metric in METRICS if metric != best]
    return Block(f"Correlation within budgets, less that of {METRICS[best]}", ["metric", "difference"], lines)


def _accuracies(cells: pd.DataFrame, protect: str) -> Block:
    mine = cells[cells["protect"] == protect]
    budgets = sorted(mine["budget"].unique(), key=int)
    lines = []
    for policy in mine["policy"].unique():
        of = mine[mine["policy"] == policy].set_index("budget")
        star = " *" if of["oracle"].iloc[0] else ""
        slots = of["live_slots"].iloc[-1]
        lines.append(
            [
                policy + star,
                *(f"{100 * of.loc[b, 'accuracy']:.1f}" if b in of.index else "-" for b in budgets),
                f"{slots:.0f}",
            ]
        )
    title = f"right answers, %, protected: {protect} (* knows the future)"
    return Block(title, ["policy", *(f"B={b}" for b in budgets), f"slots at B={budgets[-1]}"], lines)


def _draw(cells: pd.DataFrame, table: dict[str, Draws]) -> Figure:
    """Accuracy against the metrics, a point per run; colours are budgets, crosses oracles."""
    from ..sim.picture import Picture

    shown = ("mass", "mass_beyond_sink", "mass_worst", "recall", "recall_worst", "output_error")
    figure: Figure = Picture(figsize=(12.6, 7.4), layout="constrained")
    budgets = sorted(cells["budget"].unique(), key=int)
    colours = dict(zip(budgets, ("#440154", "#3b528b", "#21918c", "#5ec962", "#d9c400"), strict=False))
    for axes, metric in zip(figure.subplots(2, 3, sharey=True).flat, shown, strict=True):
        for budget in budgets:
            for oracle, marker in ((False, "o"), (True, "x")):
                mine = cells[(cells["budget"] == budget) & (cells["oracle"] == oracle)]
                label = f"{budget} slots" if not oracle else None
                axes.scatter(
                    mine[metric], mine["accuracy"], s=20, marker=marker, color=colours.get(budget, "0.4"), label=label
                )
        rho, low, high = _interval(table[metric][1])
        if metric.startswith("output_error"):  # drawn as it is, not with its sign turned
            rho, low, high = -rho, -high, -low
        title = METRICS[metric].replace(", negated", "")
        axes.set_title(f"{title}\nrho within budgets {rho:.2f} [{low:.2f}, {high:.2f}]", fontsize=9)
        axes.grid(alpha=0.25)
        axes.set_ylim(0, 1.02)
    for axes in figure.axes[::3]:
        axes.set_ylabel("share of right answers")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if cells["oracle"].any():
        handles.append(figure.axes[0].scatter([], [], marker="x", color="black"))
        labels.append("oracle")
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=9)
    return figure
