"""The replays of a sweep on a Ray cluster, through joblib's backend: Ray schedules, nothing here does.

One task per trace and policy. A trace's columns are put into Ray's object store once, where all tasks of a node map them
without copying; rows come back through a Ray queue as each replay finishes, so that an interruption loses nothing.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ..policies.predictors import Predicted
from ..policies.registry import parse_policy
from ..traces.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from ..sim.runs import Run
    from ..traces.request import RequestTrace

__all__ = ["run_on_ray"]

_POLL_S = 0.2


def run_on_ray(
    runs: Sequence[Run], policies: Sequence[str], progress: Callable[[int], None] | None = None
) -> Iterator[tuple[Run, list[dict[str, Any]]]]:
    """Do the replays on the cluster that Ray finds (``RAY_ADDRESS``, else one started here for the purpose).

    Parameters
    ----------
    runs : sequence of Run
    policies : sequence of str
        The policies as they were written; workers read them again, so that a plug-in file works there too.
    progress : callable, optional
        Told the number of requests replayed since its last call.

    Yields
    ------
    (Run, rows)
        As each finishes, in no particular order.

    Raises
    ------
    MissingExtraError
        Without Ray.
    """
    try:
        import ray
        from joblib import Parallel, delayed, parallel_config
        from ray.util.joblib import register_ray
        from ray.util.queue import Queue
    except ImportError:
        raise MissingExtraError("a sweep on Ray", "ray") from None
    if not runs:
        return
    started_here = not ray.is_initialized()
    if started_here:
        ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    try:
        register_ray()
        texts = {parse_policy(text).label: text for text in policies}
        for policy in (run.policy for run in runs):
            if isinstance(policy, Predicted):
                if policy.predictor.source.facts():
                    raise UsageError(
                        f"{policy.label}: predictions from a file do not travel to Ray; make them a column of the trace "
                        "(--predict column), or run with --on local"
                    )
                texts.setdefault(policy.label, f"{texts.get(policy.inner.label)}@{policy.predictor.label}")
        traces = {id(run.trace): run.trace for run in runs}
        # In lists, because Ray would replace a bare reference by the columns themselves.
        stored = {key: [ray.put(_columns(trace))] for key, trace in traces.items()}
        groups: dict[tuple[int, str], list[int]] = {}
        for i, run in enumerate(runs):
            groups.setdefault((id(run.trace), run.policy.label), []).append(i)
        rows_back = Queue()
        tasks = [
            delayed(_replay_group)(stored[trace], texts[label], [(i, _bare(runs[i])) for i in group], rows_back)
            for (trace, label), group in groups.items()
        ]

        def work() -> None:
            with parallel_config(backend="ray"):
                Parallel(n_jobs=-1, batch_size=1)(tasks)

        with ThreadPoolExecutor(1) as pool:
            working = pool.submit(work)
            left = len(runs)
            while left:
                try:
                    i, rows = rows_back.get(timeout=_POLL_S)
                except queue.Empty:
                    if working.done():
                        working.result()  # raises what stopped the workers
                    continue
                left -= 1
                if progress is not None:
                    progress(len(runs[i].trace))
                yield runs[i], rows
            working.result()
    finally:
        if started_here:
            ray.shutdown()


def _bare(run: Run) -> dict[str, Any]:
    """Everything about a run but its trace and its policy, which travel otherwise."""
    return {field.name: getattr(run, field.name) for field in fields(run) if field.name not in ("trace", "policy")}


def _columns(trace: RequestTrace) -> dict[str, Any]:
    """The dense columns of a trace, without its keys."""
    columns = {field.name: getattr(trace, field.name) for field in fields(trace)}
    del columns["key_source"]
    return columns


def _replay_group(stored: list[Any], policy: str, runs: list[tuple[int, dict[str, Any]]], rows_back: Any) -> None:
    """On a worker: replay one policy on one trace at all sizes and seeds."""
    import ray

    from ..sim.runs import Run
    from ..traces.request import RequestTrace

    trace = RequestTrace(**ray.get(stored[0]))
    for i, about in runs:
        rows_back.put((i, Run(trace, parse_policy(policy), **about).rows()))
