"""The rest of a user's waiting: opening a trace, all-size curves, a plug-in policy, starting the command line."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...traces.write import write_trace
from .measure import interleaved, subprocess_report
from .peer import PLUGIN_SCRIPT

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["curves", "end_to_end", "plugin", "start_up"]

_OURS = """
import os, sys, time
from evictlab.sim import replay
from evictlab.traces import open_trace
def run(path):
    os.utime(path)  # a changed file: what is kept of it does not count
    return replay(open_trace(path), "lru", "10%", ignore_sizes=True, threads=1)
run(sys.argv[2])
began = time.process_time()
result = run(sys.argv[1])
report["replay_s"] = time.process_time() - began
report["miss_ratio"] = float(result.frame["miss_ratio"].iloc[0])
"""

_THEIRS = """
import sys, time
import libcachesim as lcs
began = time.process_time()
options = lcs.ReaderInitParam()
options.ignore_obj_size = True
reader = lcs.TraceReader(sys.argv[1], lcs.TraceType.ORACLE_GENERAL_TRACE, options)
cache = lcs.LRU(int(sys.argv[2]))
report["miss_ratio"] = cache.process_trace(reader)[0]
report["replay_s"] = time.process_time() - began
"""


def end_to_end(trace: RequestTrace, path: Path, *, rounds: int) -> dict[str, Any]:
    """Open an uncached oracleGeneral file, number its objects and replay LRU at 10 %, each in a fresh process.

    libCacheSim runs with its defaults, as a user would have it. Seconds are CPU; imports and the loading of compiled code
    (ours: by a trace of 1000 requests) are left out on both sides, and in again in the seconds and the peak memory of the
    whole process.
    """
    capacity = str(trace.n_objects // 10)
    tiny = write_trace(trace[:1000], path.with_name("tiny.oracleGeneral"))
    subprocess_report(_OURS, str(path), str(tiny))  # compiles
    mine, its = [], []
    for _ in range(rounds):
        mine.append(subprocess_report(_OURS, str(path), str(tiny)))
        its.append(subprocess_report(_THEIRS, str(path), capacity))

    def median(reports: list[dict[str, float]], key: str) -> float:
        return statistics.median(report[key] for report in reports)

    return {
        "trace": trace.name,
        "ours_s": median(mine, "replay_s"),
        "theirs_s": median(its, "replay_s"),
        "ratio": median(its, "replay_s") / median(mine, "replay_s"),
        "ours_process_s": median(mine, "cpu_s"),
        "theirs_process_s": median(its, "cpu_s"),
        "ours_peak_mib": median(mine, "peak_mib"),
        "theirs_peak_mib": median(its, "peak_mib"),
        "ours_miss_ratio": mine[0]["miss_ratio"],
        "theirs_miss_ratio": its[0]["miss_ratio"],
    }


def curves(trace: RequestTrace, *, rounds: int) -> Iterator[dict[str, Any]]:
    """Measure the exact LRU curve of all sizes and SHARDS at 1 %, in LRU passes at 10 %, and the error of SHARDS.

    The error is over 200 capacities between a thousandth of the objects and all of them, evenly spaced in the logarithm.
    """
    from ...policies.registry import parse_policy
    from ...sim.curves import lru_curve, shards_curve
    from ...sim.job import Job

    def one_pass() -> Any:
        job = Job(trace, parse_policy("lru"), trace.n_objects // 10)
        return lambda: job.run(len(trace))

    def exact() -> Any:
        trace.__dict__.pop("prev_use", None)  # made once per trace and kept; its making is part of the measurement
        return lambda: lru_curve(trace, ignore_sizes=True)

    def sampled() -> Any:
        return lambda: shards_curve(trace, 0.01, ignore_sizes=True)

    exact()()
    sampled()()
    found = interleaved({"pass": one_pass, "exact": exact, "sampled": sampled}, rounds)
    sizes = np.unique(np.geomspace(trace.n_objects / 1000, trace.n_objects, 200).astype(np.int64))
    truth, guess = (np.asarray([found[name][1].at(size) for size in sizes]) for name in ("exact", "sampled"))
    for name, title in (("exact", "exact LRU curve, all sizes"), ("sampled", "SHARDS 1 %")):
        yield {
            "what": title,
            "cpu_s": found[name][0],
            "lru_passes": found[name][0] / found["pass"][0],
            "mean_error": float(np.abs(truth - guess).mean()) if name == "sampled" else 0.0,
            "max_error": float(np.abs(truth - guess).max()) if name == "sampled" else 0.0,
        }


def plugin(trace: RequestTrace, path: Path, *, rounds: int) -> dict[str, Any]:
    """Measure a user's own LRU: a file with four functions here, libCacheSim's plug-in cache with Python hooks there."""
    from ...policies.registry import parse_policy
    from ...sim.job import Job
    from .peer import peer_reader

    requests = min(len(trace), 1_000_000)
    capacity = trace.n_objects // 10
    scope: dict[str, Any] = {}
    exec(PLUGIN_SCRIPT, scope)
    file = Path(__file__).parent.parent / "examples" / "my_lru.py"

    def ours() -> Any:
        job = Job(trace, parse_policy(str(file)), capacity)
        return lambda: job.run(requests)

    def theirs() -> Any:
        reader, cache = peer_reader(path, ignore_sizes=True), scope["lru_plugin"](capacity)
        return lambda: cache.process_trace(reader, 0, requests)

    found = interleaved({"ours": ours, "theirs": theirs}, rounds)
    return {
        "ours_mreq_s": requests / found["ours"][0] / 1e6,
        "theirs_mreq_s": requests / found["theirs"][0] / 1e6,
        "ratio": found["theirs"][0] / found["ours"][0],
    }


def start_up(*, rounds: int) -> Iterator[dict[str, Any]]:
    """Measure wall seconds of the command line: help, a warm run of three policies on 100 k requests, the very first run."""
    program = [str(Path(sys.executable).with_name("evictlab"))]
    run = ["replay", "zipf:requests=100000,objects=10000", "--policy", "lru,sieve,s3fifo", "--size", "1%"]

    def wall(arguments: list[str], cache: str | None = None) -> float:
        environment = {**os.environ, **({"EVICTLAB_CACHE_DIR": cache} if cache else {})}
        began = time.perf_counter()
        subprocess.run([*program, *arguments], check=True, capture_output=True, env=environment)
        return time.perf_counter() - began

    yield {"what": "evictlab --help", "wall_s": statistics.median(wall(["--help"]) for _ in range(rounds + 2))}
    first = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            first.append(wall(run, cache))
            if len(first) == rounds:
                warm = [wall(run, cache) for _ in range(rounds + 2)]
    yield {"what": "three policies, 100 k requests, warm", "wall_s": statistics.median(warm)}
    yield {"what": "three policies, 100 k requests, very first", "wall_s": statistics.median(first)}
