"""What a committed result carries: command, commit, machine and versions."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["commit", "machine", "stamp"]


def machine() -> str:
    """Return one line about the processor, its cores as this process may use them, the memory and the system."""
    name = platform.processor() or platform.machine()
    memory = ""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
        kib = int(Path("/proc/meminfo").read_text().split()[1])
        memory = f", {kib / 2**20:.0f} GiB"
    except (OSError, ValueError, IndexError):
        pass  # not Linux: what platform knows has to do
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores{memory}, {platform.system()}"


def commit() -> str:
    """Return the short hash of the source tree, with ``+changes`` when files differ from it; empty outside git."""
    root = Path(__file__).resolve().parent.parent
    try:
        git = ["git", "-C", str(root)]
        found = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip() + ("+changes" if changed.stdout.strip() else "")


def stamp(command: str, packages: tuple[str, ...] = ("numpy", "numba", "pyarrow")) -> dict[str, str]:
    """Return command, commit, machine and versions, in this order."""
    versions = [f"Python {platform.python_version()}"]
    for name in ("evictlab", *packages):
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            versions.append(f"{name} not installed")
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") and sys.platform != "win32" else ""
    return {"command": command, "commit": commit(), "machine": machine() + load, "versions": ", ".join(versions)}
