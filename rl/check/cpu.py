"""CPU time of running processes, as the kernel counts it: seconds since each began, to 1/100."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cpu", "cpu_of", "cpu_seconds"]

MANAGER, WORKER = b"cache manager", b"worker process"
"""In the titles that NGINX gives its processes."""


@dataclass(frozen=True)
class Cpu:
    """CPU seconds of the processes that serve a cache; differences are those of a run.

    Attributes
    ----------
    manager, workers : float
        NGINX's cache manager, and its workers together.
    sidecar : float
        0 without one.
    """

    manager: float
    workers: float
    sidecar: float = 0.0

    def __sub__(self, before: Cpu) -> Cpu:
        return Cpu(self.manager - before.manager, self.workers - before.workers, self.sidecar - before.sidecar)


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process; 0 of one that is gone.

    From /proc/PID/stat, in ticks of 1/100 s; see proc(5).
    """
    with suppress(OSError):
        fields = _stat(Path(f"/proc/{pid}"))
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def cpu_of(master: int, sidecar: int | None = None) -> Cpu:
    """What NGINX's processes and the sidecar have used so far.

    Parameters
    ----------
    master : int
        Number of NGINX's first process.
    sidecar : int, optional
        Of the sidecar's.
    """
    used = {MANAGER: 0.0, WORKER: 0.0}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):  # ended meanwhile
            if int(_stat(folder)[1]) != master:
                continue
            title = (folder / "cmdline").read_bytes()
            for role in used:
                used[role] += cpu_seconds(int(folder.name)) if role in title else 0.0
    return Cpu(used[MANAGER], used[WORKER], 0.0 if sidecar is None else cpu_seconds(sidecar))


def _stat(folder: Path) -> list[str]:
    """Fields from the third on: the second, the name, may hold spaces and brackets."""
    return (folder / "stat").read_text().rpartition(")")[2].split()
