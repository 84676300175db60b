"""How long a decision takes: round trips to a server, one after the other or with pauses, and the processor time they cost."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...traces.errors import EvictlabError, UsageError
from .model import load_model
from .native import CLIENT, compiled
from .protocol import FEATURES, MAX_K, pack_request
from .server import running_server

__all__ = ["DEADLINE_US", "Measured", "bench_model", "bench_socket"]

DEADLINE_US = 500.0
"""How long NGINX waits unless it is told otherwise."""

USUAL = (16, 32, 64)
"""Candidates of a request."""

WARM_UP, DIFFERENT = 50, 32
"""Rounds that are not counted, and requests that take turns."""


@dataclass(frozen=True)
class Measured:
    """Round trips of one kind.

    Attributes
    ----------
    server : str
        ``c``, ``python``, or the socket's name.
    k : int
        Candidates of each request.
    gap_s : float
        Pause before each request, in seconds; after it the server is woken, as NGINX's module does.
    rounds : int
    p50_us, p95_us, p99_us, max_us : float
        Microseconds from sending a request to having its reply.
    late : float
        Share that took longer than `DEADLINE_US`: NGINX would have evicted by itself.
    cpu_s_per_1000 : float
        Processor seconds of the server per 1000 decisions; NaN where the system does not tell.
    """

    server: str
    k: int
    gap_s: float
    rounds: int
    p50_us: float
    p95_us: float
    p99_us: float
    max_us: float
    late: float
    cpu_s_per_1000: float


def bench_model(
    folder: str | Path,
    ks: Sequence[int] | None = None,
    gaps_s: Sequence[float] = (0.0, 0.001),
    rounds: int = 2000,
    servers: Sequence[str] = ("c", "python"),
    seed: int = 0,
) -> Iterator[Measured]:
    """Measure a model under a server of each kind, started for it; the client is a program in C.

    Parameters
    ----------
    folder : path
        Of the model.
    ks, gaps_s, rounds
        See `Measured`; each combination is measured. Default: those of `USUAL` that the model takes.
    servers : sequence of {"c", "python"}
    seed : int
        Of the candidates' features.

    Raises
    ------
    EvictlabError
        The model is not sound, or a server does not answer.
    """
    most = load_model(folder).most
    ks = [k for k in USUAL if k <= most] or [most] if ks is None else ks
    if max(ks) > most:
        raise UsageError(f"{max(ks)} candidates are not possible; {folder} takes at most {most}")
    with tempfile.TemporaryDirectory(prefix="evictlab-") as room:
        path = Path(room) / "s"
        for name in servers:
            with running_server(folder, path, python=name == "python", stdout=subprocess.DEVNULL) as server:
                yield from _bench(name, path, [server.pid], ks, gaps_s, rounds, seed)


def bench_socket(
    path: str | Path,
    ks: Sequence[int] | None = None,
    gaps_s: Sequence[float] = (0.0, 0.001),
    rounds: int = 2000,
    seed: int = 0,
) -> Iterator[Measured]:
    """Measure a sidecar that runs already; its decisions are made, and counted by it, as if NGINX had asked.

    Raises
    ------
    UsageError
        Nobody listens there.
    EvictlabError
        It does not answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asked:
        try:
            asked.connect(str(path))
        except OSError as error:
            raise UsageError(
                f"{path}: {error.strerror}; start one: evictlab sidecar serve BUNDLE --socket {path}"
            ) from None
        owner = struct.unpack("3i", asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    yield from _bench(str(path), Path(path), [owner, *_children(owner)], ks or USUAL, gaps_s, rounds, seed)


def _bench(
    name: str, path: Path, pids: list[int], ks: Sequence[int], gaps_s: Sequence[float], rounds: int, seed: int
) -> Iterator[Measured]:
    for k in ks:
        if not 1 <= k <= MAX_K:
            raise UsageError(f"{k} candidates are not possible; choose 1 to {MAX_K}")
        packets = _packets(k, seed)
        for gap_s in gaps_s:
            before_s = _cpu_s(pids)
            took_us = _round_trips(path, packets, rounds, gap_s)
            cpu_s = _cpu_s(pids) - before_s
            p50, p95, p99 = np.percentile(took_us, [50, 95, 99])
            late = float(np.mean(took_us > DEADLINE_US))
            cost = 1000 * cpu_s / (rounds + WARM_UP)
            yield Measured(name, k, gap_s, rounds, float(p50), float(p95), float(p99), float(took_us.max()), late, cost)


def _packets(k: int, seed: int) -> list[bytes]:
    """Requests with features as a cache of web objects has them."""
    rng = np.random.default_rng(seed)
    packets = []
    for _ in range(DIFFERENT):
        rows = np.exp(rng.normal(3, 2, (k, len(FEATURES)))).astype(np.float32)
        rows[:, FEATURES.index("size_bytes")] = 4096 * rng.integers(1, 100, k)
        packets.append(pack_request(0, rows, [0.002, 25e6, 400, 300_000]))
    return packets


def _round_trips(path: Path, packets: list[bytes], rounds: int, gap_s: float) -> npt.NDArray[np.float64]:
    """Microseconds of each."""
    words = [str(path), *map(str, (len(packets[0]), rounds, WARM_UP, round(1e6 * gap_s)))]
    done = subprocess.run([str(compiled(CLIENT)), *words], input=b"".join(packets), capture_output=True, check=False)
    if done.returncode:
        raise EvictlabError(f"measuring {path} failed: {done.stderr.decode(errors='replace').strip()}")
    return np.frombuffer(done.stdout, "<u4") / 1e3


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(entry.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.parent.name))
    return found


def _cpu_s(pids: list[int]) -> float:
    """Processor seconds of processes: to the nanosecond where the scheduler tells, else in ticks."""
    total = 0.0
    try:
        for pid in pids:
            total += (
                sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9
            )
        if total:
            return total
        for pid in pids:
            ticks = re.split(r"\s+", Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].strip())[11:13]
            total += sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return float("nan")
    return total
