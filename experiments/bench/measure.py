"""Measuring: CPU time, rivals interleaved, medians; or a fresh process with its peak memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["interleaved", "subprocess_report"]


def interleaved(rivals: Mapping[str, Callable[[], Callable[[], Any]]], rounds: int) -> dict[str, tuple[float, Any]]:
    """Run rivals in turn, `rounds` times, and return the median CPU seconds of each with its last answer.

    Parameters
    ----------
    rivals : mapping of name to callable
        Each call prepares (not timed) and returns what is to be timed.
    rounds : int
    """
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    answers: dict[str, Any] = {}
    for _ in range(rounds):
        for name, prepare in rivals.items():
            work = prepare()
            began = time.process_time()
            answers[name] = work()
            seconds[name].append(time.process_time() - began)
    return {name: (statistics.median(times), answers[name]) for name, times in seconds.items()}


def subprocess_report(code: str, *arguments: str, environment: Mapping[str, str] | None = None) -> dict[str, float]:
    """Run Python code in a fresh process and return what it reports, with wall seconds and peak memory.

    Parameters
    ----------
    code : str
        May define ``report``, a dict of numbers.
    *arguments : str
        `sys.argv[1:]` of the code.
    environment : mapping, optional
        Added to this process's.

    Returns
    -------
    dict
        The code's report, and ``wall_s``, ``cpu_s`` (the whole process), ``peak_mib``.
    """
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _FRAME.format(code=code), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    wall = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(f"a measured process failed:\n{done.stderr}")
    return {**json.loads(done.stdout.strip().splitlines()[-1]), "wall_s": wall}


_FRAME = """
report = {{}}
{code}
import json, time
report["cpu_s"] = time.process_time()
# Not getrusage: its peak is inherited from the process that started this one.
status = open("/proc/self/status").read()
report["peak_mib"] = int(status.partition("VmHWM:")[2].split()[0]) / 1024
print(json.dumps(report))
"""
