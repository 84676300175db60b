"""Replay traces against policies and sizes, and return one tidy table."""

from __future__ import annotations

import itertools
import json
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..policies.predictors.base import Predictor, parse_predictor
from ..policies.predictors.predicted import Predicted
from ..policies.registry import Policy, parse_policy
from ..traces.errors import UsageError
from ..traces.units import Size
from . import loop as at
from .job import Job, check_capable, check_unseen
from .plan import Capacity, capacity_of, lifetimes, states_no_ttls, warmup_end, window_bounds

if TYPE_CHECKING:
    from ..traces.request import RequestTrace
    from .result import Result

__all__ = ["CHUNK", "Run", "plan_runs", "replay", "run_all"]

CHUNK = 1 << 22
"""Requests between two looks at progress and interruption: a few hundredths of a second."""

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Run:
    """One replay to be done: everything that one row (and its windows) depends on."""

    trace: RequestTrace
    policy: Policy
    capacity: Capacity
    seed: int = 0
    ttl: str | float | None = None
    warmup: str | float = 0.0
    window: str | float | None = None

    def rows(self, stop: threading.Event | None = None, progress: Progress | None = None) -> list[dict[str, Any]]:
        """Replay and return the row of the whole, then those of the windows.

        Parameters
        ----------
        stop : Event, optional
            Set it to give up between two chunks; then no row is returned.
        progress : callable, optional
            Told the number of requests done since the last call.
        """
        trace = self.trace
        job = Job(
            trace,
            self.policy,
            self.capacity.amount,
            byte_sizes=self.capacity.byte_sizes,
            ttls=lifetimes(self.ttl, trace),
            seed=self.seed,
        )
        begin = warmup_end(self.warmup, trace)
        bounds = np.asarray([begin, len(trace)]) if self.window is None else window_bounds(self.window, trace, begin)
        totals = []
        for bound in bounds:
            while job.done < bound:
                if stop is not None and stop.is_set():
                    return []
                before = job.done
                job.run(min(int(bound), before + CHUNK))
                if progress is not None:
                    progress(job.done - before)
            totals.append((job.counts.copy(), None if job.saved is None else job.saved.copy()))
        predicted = self._errors()
        rows = [self._row(totals[0], totals[-1], job.cpu_s, job.done, None, None) | predicted]
        if self.window is not None:
            for k, (first, last) in enumerate(itertools.pairwise(totals)):
                begins = None if trace.times is None else float(trace.times[bounds[k]] - trace.times[0])
                rows.append(self._row(first, last, None, None, k, begins) | predicted)
        return rows

    def _errors(self) -> dict[str, float | int | str]:
        """Who predicted, and how wrong; nothing for a policy that reads no predictions."""
        if not isinstance(self.policy, Predicted):
            return {}
        return {
            "predictor": self.policy.predictor.label,
            **self.policy.errors(self.trace, self.capacity.amount, self.seed),
        }

    def _ttl_words(self) -> str | None:
        if states_no_ttls(self.ttl, self.trace):
            return "trace (states none)"
        return None if self.ttl is None else str(self.ttl)

    def _row(
        self, first: Any, last: Any, cpu_s: float | None, replayed: int | None, window: int | None, begins: float | None
    ) -> dict[str, Any]:
        """Turn the difference of two totals into a row."""
        counts = last[0] - first[0]
        requests, hits = int(counts[at.REQUESTS]), int(counts[at.HITS])
        byte_sizes = self.capacity.byte_sizes
        n_bytes, hit_bytes = int(counts[at.BYTES]), int(counts[at.HIT_BYTES])
        cost_s = saved_s = None
        if last[1] is not None:
            cost_s, saved_s = (float(x) for x in last[1] - first[1])
        return {
            "trace": self.trace.name,
            "policy": self.policy.label,
            "parameters": json.dumps(self.policy.parameters()),
            "capacity": self.capacity.label,
            "capacity_bytes": self.capacity.amount if byte_sizes else None,
            "capacity_objects": None if byte_sizes else self.capacity.amount,
            "seed": self.seed,
            "ttl": self._ttl_words(),
            "warmup": str(self.warmup),
            "window": window,
            "window_start_s": begins,
            "requests": requests,
            "hits": hits,
            "misses": requests - hits,
            "miss_ratio": 1 - hits / requests,
            "bytes": n_bytes if byte_sizes else None,
            "hit_bytes": hit_bytes if byte_sizes else None,
            "byte_miss_ratio": 1 - hit_bytes / n_bytes if byte_sizes and n_bytes else None,
            "cost_s": cost_s,
            "saved_s": saved_s,
            "cost_miss_ratio": 1 - saved_s / cost_s if cost_s and saved_s is not None else None,
            "evictions": int(counts[at.EVICTIONS]),
            "expired": int(counts[at.EXPIRED]),
            "refused": int(counts[at.REFUSED]),
            "too_large": int(counts[at.TOO_LARGE]),
            "used": int(last[0][at.USED]),
            "cpu_s": cpu_s,
            "requests_per_s": None if not cpu_s or replayed is None else replayed / cpu_s,
            "predictor": None,
            "eta0": None,
            "eta1": None,
            "eta": None,
        }


def plan_runs(
    traces: Sequence[RequestTrace],
    policies: Iterable[str | Policy],
    sizes: Iterable[str | Size],
    *,
    seeds: Iterable[int] = (0,),
    ignore_sizes: bool = False,
    ttl: str | float | None = None,
    warmup: str | float = 0.0,
    window: str | float | None = None,
    predict: Iterable[Any] = (),
) -> list[Run]:
    """List the replays of every trace, policy, size and seed, and refuse impossible ones before any begins.

    Deterministic policies are run with the first seed only. Each of the predictors `predict` predicts for every policy that
    reads predictions and does not name its predictor itself.

    Raises
    ------
    UsageError
        Also `UnknownNameError`, `UnitError`, `CapabilityError`: nothing has been replayed then.
    PredictionError
        Requests would be counted that the predictor has seen with their futures.
    """
    chosen = _with_predictors([parse_policy(policy) for policy in policies], [parse_predictor(who) for who in predict])
    seeds, sizes = list(seeds), list(sizes)
    for what, found in (("trace", traces), ("policy", chosen), ("size", sizes), ("seed", seeds)):
        if not found:
            raise UsageError(f"nothing to replay: no {what} given")
    runs = []
    for trace in traces:
        expiring = lifetimes(ttl, trace) is not None
        begin = warmup_end(warmup, trace)
        if window is not None:
            window_bounds(window, trace, begin)
        for size in sizes:
            capacity = capacity_of(size, trace, ignore_sizes=ignore_sizes)
            for policy in chosen:
                check_capable(policy, trace, byte_sizes=capacity.byte_sizes, ttl=expiring)
                check_unseen(policy, trace, begin)
                runs += [
                    Run(trace, policy, capacity, seed, ttl, warmup, window)
                    for seed in (seeds if policy.random else seeds[:1])
                ]
    return runs


def _with_predictors(policies: list[Policy], predictors: list[Predictor]) -> list[Policy]:
    """Give every policy that needs one each of the predictors."""
    needy = [policy for policy in policies if policy.predictions and not isinstance(policy, Predicted)]
    if predictors and not needy:
        raise UsageError(
            f"nobody reads what {predictors[0].label} predicts: none of the policies takes predictions, or all name their "
            "predictor already. See: evictlab policies"
        )
    return [
        found
        for policy in policies
        for found in ([Predicted(policy, who) for who in predictors] if policy in needy and predictors else [policy])
    ]


def run_all(
    runs: Sequence[Run], *, threads: int | None = None, progress: Progress | None = None
) -> Iterator[tuple[Run, list[dict[str, Any]]]]:
    """Do the replays on threads (the loop holds no lock) and yield each with its rows as it finishes.

    Closing the iterator, or an exception in the consumer, stops the others at their next chunk.
    """
    stop = threading.Event()
    workers = max(1, min(threads or os.cpu_count() or 1, len(runs)))
    with ThreadPoolExecutor(workers, thread_name_prefix="replay") as pool:
        waiting = {pool.submit(run.rows, stop, progress): run for run in runs}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        finally:
            stop.set()
            for future in waiting:
                future.cancel()


def replay(
    traces: RequestTrace | str | Path | Sequence[RequestTrace | str | Path],
    policies: str | Policy | Sequence[str | Policy] = "lru",
    sizes: str | Size | Sequence[str | Size] = "1%",
    *,
    seeds: int | Iterable[int] = 0,
    ignore_sizes: bool = False,
    ttl: str | float | None = None,
    warmup: str | float = 0.0,
    window: str | float | None = None,
    predict: Any = (),
    threads: int | None = None,
    progress: Progress | None = None,
) -> Result:
    """Replay one or more traces against policies and cache sizes.

    Parameters
    ----------
    traces : RequestTrace, path, or list of these
        Paths are opened with `evictlab.traces.open_trace`.
    policies : str, Policy, or list
        Names as on the command line (``"lru,sieve,s3fifo:small=0.2"``, ``"adaptsize+lru"``, ``"./mine.py"``).
    sizes : str, Size, or list
        ``"1GiB"``, ``"5000obj"``, ``"10%"`` of the footprint; several separated by commas.
    seeds : int or iterable of int
        For policies that draw random numbers; others use the first.
    ignore_sizes : bool
        Charge every object 1, whatever the trace says.
    ttl : str or float, optional
        ``"trace"``, a duration (``"60s"``), or seconds. A request that finds an expired object is a miss that refreshes it.
        With ``"trace"`` and a trace that states none, nothing expires, and a warning says so.
    warmup : str or float
        ``"20%"``, ``"10min"`` or a fraction: replayed, not counted.
    window : str or float, optional
        ``"10min"``, ``"100000req"`` or seconds: also one row per window, in `Result.windows`.
    predict : str, array, or list
        Who predicts for the policies that read predictions: ``"pleco"``, ``"noisy:p=0.05,popu"``, or one number per
        request. See `evictlab.policies.predictors`.
    threads : int, optional
        Default: as many as there are cores.
    progress : callable, optional
        Told how many requests were replayed since its last call; may be called from several threads.

    Returns
    -------
    Result
        One row per trace, policy, size and seed, in this order.

    Raises
    ------
    EvictlabError
        Before anything is replayed where possible.

    Examples
    --------
    >>> from evictlab.traces.generate import zipf
    >>> from evictlab.sim import replay
    >>> result = replay(zipf(10_000, 1_000, seed=1), "lru,sieve", "1%,10%")
    >>> list(result.frame.columns[:4])
    ['trace', 'policy', 'parameters', 'capacity']
    """
    from .result import Result

    opened = [_opened(trace) for trace in (traces if isinstance(traces, (list, tuple)) else [traces])]
    runs = plan_runs(
        opened,
        _listed(policies),
        _listed(sizes),
        seeds=[seeds] if isinstance(seeds, int) else seeds,
        ignore_sizes=ignore_sizes,
        ttl=ttl,
        warmup=warmup,
        window=window,
        predict=_listed(predict),
    )
    for trace in opened:
        if states_no_ttls(ttl, trace):
            warnings.warn(f"{trace.name} states no TTLs: nothing expires", stacklevel=2)
    finished = {id(run): rows for run, rows in run_all(runs, threads=threads, progress=progress)}
    return Result.from_rows(itertools.chain.from_iterable(finished[id(run)] for run in runs), opened)


def _listed(given: Any) -> list[Any]:
    """Split text at commas; leave lists as they are and wrap anything else."""
    if isinstance(given, str):
        return [part.strip() for part in given.split(",") if part.strip()]
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _opened(trace: Any) -> RequestTrace:
    if isinstance(trace, (str, Path)):
        from ..traces.open import open_trace

        return open_trace(trace)
    opened: RequestTrace = trace
    return opened
