"""The learned policy in a real NGINX: pairs of runs, NGINX's own LRU and the model, beside the predictions of both."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...traces.errors import UsageError
from ..page import Reproduction
from .learned_page import LEARNED, NATIVE, draw, name_of, table_of
from .learned_verdicts import Verdict, verdicts

if TYPE_CHECKING:
    from ...rl.check.setup import Setup
    from ...rl.sidecar.model import Model
    from ...traces.record.nginx.config import RealConfig
    from ...traces.request import RequestTrace
    from ..journal import Journal

__all__ = ["Run", "measure", "plan", "reproduction"]


@dataclass(frozen=True)
class Run:
    """One run: who evicts, and from which cache.

    Attributes
    ----------
    workload : str
    trace : RequestTrace
    size : str
        As in ``25MiB``.
    policy : str
        `NATIVE` or `LEARNED`.
    model : str
        Folder, or the name of one that comes with the package.
    interval_s : float
        How soon the cache manager looks again, in both kinds of runs.
    rate_per_s : float
    connections : int
    python : bool
        The sidecar in Python.
    nice : int or None
        Its nice value.
    repeat : int
        Of which pair.
    """

    workload: str
    trace: RequestTrace
    size: str
    policy: str
    model: str
    interval_s: float
    rate_per_s: float
    connections: int = 8
    python: bool = False
    nice: int | None = None
    repeat: int = 0

    @property
    def config(self) -> RealConfig:
        """The cache."""
        from ...traces.record.nginx.config import RealConfig
        from ...traces.units import parse_size

        size = parse_size(self.size)
        if size.kind != "bytes":
            raise UsageError(f"NGINX's max_size is in bytes; write {self.size!r} as 25MiB")
        return RealConfig(int(size.value))

    def key(self, sha256: str) -> str:
        """What the result depends on, as text; `sha256` is the model's."""
        about = [self.workload, self.trace.name, len(self.trace), self.size, self.policy, self.interval_s]
        return json.dumps([*about, self.rate_per_s, self.connections, sha256, self.python, self.nice, self.repeat])


def plan(
    workload: str,
    trace: RequestTrace,
    size: str | None,
    model: str,
    interval_s: float,
    rate_per_s: float | None,
    connections: int = 8,
    python: bool = False,
    nice: int | None = None,
    repeats: int = 5,
) -> list[Run]:
    """List the runs: pairs of one each, the first of a pair by turns.

    Raises
    ------
    UsageError
        No size for a trace of one's own, or one that NGINX does not take.
    """
    from .nginx import WORKLOADS, Workload

    usual = WORKLOADS.get(workload, Workload(workload, 500.0, ()))
    if size is None and not usual.sizes:
        raise UsageError(f"how large a cache for {trace.name}? Add --size 25MiB")
    runs = []
    for repeat in range(repeats):
        for policy in (NATIVE, LEARNED) if repeat % 2 == 0 else (LEARNED, NATIVE):
            rate = rate_per_s or usual.rate_per_s
            about = (policy, model, interval_s, rate, connections, python, nice, repeat)
            runs.append(Run(workload, trace, size or usual.sizes[0], *about))
    _ = runs[0].config  # a size that is none is refused before anything runs
    return runs


def measure(
    runs: Sequence[Run], journal: Journal, model: Model, *, progress: Callable[[int], None] | None = None
) -> list[dict[str, Any]]:
    """Make the runs that the journal does not hold, one after another; return their rows in order.

    Rows carry hits over time and all round trips under ``series``.
    """
    from ...rl.check.setup import setup_of

    setup = None
    sha256 = model.metadata["model_sha256"]
    for run in runs:
        if run.key(sha256) in journal.finished:
            if progress is not None:
                progress(len(run.trace))
            continue
        setup = setup or setup_of(model.metadata, run.interval_s)
        journal.add(run.key(sha256), [_measured(run, setup, model, progress)])
    return [journal.finished[run.key(sha256)][0] for run in runs]


def _measured(run: Run, setup: Setup, model: Model, progress: Callable[[int], None] | None) -> dict[str, Any]:
    from ...rl.check.asked import AsAsked
    from ...rl.check.predict import predict
    from ...rl.check.run import run_once
    from ...sim.check.nginx import Ground, removal_s
    from .learned_row import row_of

    learned = run.policy == LEARNED
    delete_s = removal_s(run.trace)
    made = run_once(
        run.trace,
        run.config,
        setup,
        model if learned else None,
        rate_per_s=run.rate_per_s,
        connections=run.connections,
        python=run.python,
        priority=run.nice,
        progress=progress,
    )
    real = made.recording
    ground = Ground(real.manager_start_s, real.start_unix_s, real.block_bytes, delete_s)
    policy = AsAsked(run.model, setup.newest) if learned else None
    simulated = predict(run.trace, run.config, run.rate_per_s, ground, run.interval_s, policy, seed=run.repeat)
    return row_of(run, made, simulated)


def reproduction(rows: Sequence[dict[str, Any]]) -> tuple[Reproduction, list[Verdict]]:
    """Put the runs side by side, with what was aimed at.

    Parameters
    ----------
    rows : sequence of dict
        As `measure` returns them.
    """
    judged = verdicts(rows)
    remarks = [
        "The same requests through a real NGINX (Debian's package, with evictlab's module) and through the simulated proxy. "
        "Pairs of runs, the first of a pair by turns, each with an empty cache: native is NGINX's own LRU, learned is the "
        "model in a sidecar. The module is loaded in both and wakes the cache manager equally often: only the policy differs. "
        "Objects stay fresh for a day, and the origin answers at once.",
        "Latencies are those at the client, from sending a request to the last byte of its answer. CPU seconds are those "
        "of the run, of all threads, from /proc. Round trips are the module's, from asking to the answer or to giving it up.",
        "Latency is judged by hits alone, because over all requests the policy that misses less would look quicker. The "
        "median of the learned runs must not be above the slowest native run: what lies below that is noise.",
        "The prediction knows the trace, the rate, the configuration, when the cache manager started and what removing a "
        "file takes. It asks the model as the module does, for several victims of the same candidates, and gets every answer "
        "at once: it knows of no late ones, after which NGINX goes on with LRU.",
        *_reasons(rows),
        *_disturbed(rows),
    ]
    plain = [{key: value for key, value in row.items() if key != "series"} for row in rows]
    title = "The learned policy in a real NGINX"
    return Reproduction("learned", title, remarks, plain, table_of(rows, judged), lambda: draw(rows)), judged


def _reasons(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Why LRU went on, in the words of the module's README."""
    which = "; ".join(f"{name_of(row)}: {row['why']}" for row in rows if row["why"])
    return [f"LRU went on in some rounds: {which}."] if which else []


def _disturbed(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Which runs say something about a machine that had other things to do."""
    from ...traces.record.nginx.recording import LATE_S

    which = [name_of(row) for row in rows if row["late_p99_ms"] > 1000 * LATE_S]
    if not which:
        return []
    return [
        f"The machine was busy, one of a hundred requests was sent more than {1000 * LATE_S:g} ms late: "
        f"{', '.join(which)}. Repeat these on a quiet one."
    ]
