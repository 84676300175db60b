"""The BrightKite traces, on which learning-augmented paging is compared, and what a policy costs over all of them.

Check-ins of 100 users, each a trace of 2,100 places; a cache holds k = 10. What is compared is the sum of all misses, cold
ones included, over that of Belady's optimum. The traces are not part of evictlab; any folder of such files will do.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...traces.errors import UsageError
from ..journal import run_key

if TYPE_CHECKING:
    from ...sim.runs import Run
    from ...traces.request import RequestTrace
    from ..journal import Journal

__all__ = ["OPT", "Totals", "measure", "open_traces", "plan", "where"]

OPT = 33_990
"""Misses of the optimum on the 100 traces at k = 10; another sum, and these are other traces."""

BELADY = "belady"

_HERE = Path(__file__).resolve().parents[2]
_EXPLAINED = (
    "They are check-ins of 100 users of BrightKite (from SNAP), a file per user with one page id per line, as in "
    "github.com/adampolak/mts-with-predictions. --data FOLDER takes any folder of such files (*.txt)."
)

Rows = list[dict[str, Any]]


def where(data: Path | None = None) -> Path:
    """Return the folder of the traces: `data`, or that of ``$EVICTLAB_SHARED_DATA``, or ``../shared/data`` of a checkout.

    Raises
    ------
    UsageError
        There is none, or no trace in it.
    """
    if data is not None:
        places = [data]
    else:
        shared = os.environ.get("EVICTLAB_SHARED_DATA")
        roots = ([Path(shared)] if shared else []) + [_HERE.parent / "shared" / "data"]
        places = [root / "paging" / "brightkite" for root in roots]
    for place in places:
        if any(place.glob("*.txt")):
            return place
    looked = " or ".join(map(str, places))
    raise UsageError(f"no BrightKite traces here: looked for *.txt in {looked}. {_EXPLAINED}")


def open_traces(folder: Path) -> list[RequestTrace]:
    """Open every ``*.txt`` of a folder, in the order of their names.

    Raises
    ------
    TraceError
        One cannot be read.
    """
    from ...traces.open import open_trace

    return [open_trace(f"plain:{path}") for path in sorted(folder.glob("*.txt"))]


@dataclass(frozen=True)
class Totals:
    """What each policy cost over all traces, seed by seed.

    Attributes
    ----------
    traces, k : int
        How many traces, and objects that the cache holds.
    seeds : list of int
    found : dict of str to list of rows
        By policy: ``seed``, ``cost`` (misses), ``eta0``, ``eta1``, ``eta``, summed over the traces. One row for a policy
        that draws nothing at random.
    """

    traces: int
    k: int
    seeds: list[int]
    found: Mapping[str, Rows]

    @property
    def opt(self) -> int:
        """Misses of Belady's optimum."""
        return int(self.found[BELADY][0]["cost"])

    @property
    def canonical(self) -> bool:
        """Whether these are the traces and the cache size that reference numbers are for."""
        return self.traces == 100 and self.k == 10 and self.opt == OPT

    def ratio(self, policy: str, what: str = "cost") -> float:
        """Return the mean over seeds of a cost or an error, over the optimum's cost."""
        return statistics.fmean(row[what] for row in self.found[policy]) / self.opt

    def error(self, policy: str) -> float | None:
        """Return the standard error of the mean ratio; 0 for what was run once because nothing is random, else None."""
        costs = [row["cost"] for row in self.found[policy]]
        if len(costs) > 1:
            return float(statistics.stdev(costs)) / math.sqrt(len(costs)) / self.opt
        return None if self.found[policy][0]["random"] else 0.0

    def row(self, policy: str, reference: float | None) -> dict[str, Any]:
        """Return the columns that every table has."""
        ratio, known = self.ratio(policy), reference if self.canonical else None
        return {
            "policy": policy,
            "runs": len(self.found[policy]),
            "misses": ratio * self.opt,
            "ratio": ratio,
            "standard_error": self.error(policy),
            "reference": known,
            "difference": None if known is None else ratio - known,
        }


def plan(
    policies: Iterable[str], traces: Sequence[RequestTrace], size: str, seeds: Sequence[int]
) -> dict[str, list[Run]]:
    """List the replays of each policy, Belady's optimum among them; refuse impossible ones before any begins.

    Raises
    ------
    UsageError
        Also `UnknownNameError` and `CapabilityError`.
    """
    from ...sim.runs import plan_runs

    return {policy: plan_runs(traces, [policy], [size], seeds=seeds) for policy in dict.fromkeys([BELADY, *policies])}


def measure(
    planned: Mapping[str, Sequence[Run]],
    journal: Journal,
    *,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Rows]:
    """Do the replays and return the sums, see `Totals.found`; a policy whose sums are in the journal is not replayed."""
    from ...sim.runs import run_all

    found = {}
    for policy, runs in planned.items():
        key = _key(policy, runs)
        if key not in journal.finished:
            with closing(run_all(runs, threads=threads, progress=progress)) as replayed:  # type: ignore[type-var]
                journal.add(key, _sums(replayed, runs[0].policy.random))
        elif progress is not None:
            progress(sum(len(run.trace) for run in runs))
        found[policy] = journal.finished[key]
    return found


def _sums(replayed: Iterable[tuple[Run, Rows]], random: bool) -> Rows:
    sums: dict[int, dict[str, Any]] = {}
    for run, (row,) in replayed:
        mine = sums.setdefault(run.seed, {"seed": run.seed, "random": random, "cost": 0})
        mine["cost"] += row["misses"]
        for error in ("eta0", "eta1", "eta"):
            if row[error] is not None:
                mine[error] = mine.get(error, 0) + row[error]
    return [sums[seed] for seed in sorted(sums)]


def _key(policy: str, runs: Sequence[Run]) -> str:
    """What the sums depend on, as text: two with equal keys are equal."""
    seeds = sorted({run.seed for run in runs})
    digest = hashlib.sha256()
    for run in runs:
        if run.seed == runs[0].seed:
            digest.update(run_key(run).encode())
    return json.dumps([policy, seeds, digest.hexdigest()])
