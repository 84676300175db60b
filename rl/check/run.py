"""One run of the check: a real NGINX with the module, and the sidecar where the model is to evict; all gone afterwards."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...traces.record.nginx import record
from ...traces.record.nginx.conf import worker_account
from ...traces.record.nginx.config import RealConfig
from ...traces.record.nginx.errors import NginxError
from ...traces.record.nginx.recording import Recording
from ...traces.record.nginx.server import Nginx
from ...traces.request import RequestTrace
from ..sidecar.listener import listening
from ..sidecar.model import Model
from ..sidecar.server import Server
from .cpu import Cpu, cpu_of
from .setup import STATUS, Setup

__all__ = ["LearnedRun", "run_once", "serving", "status_of"]

_GRAVE = re.compile(r"\[(crit|alert|emerg)\]")


@dataclass(frozen=True, eq=False)
class LearnedRun:
    """What NGINX did, and what it and the sidecar needed for that.

    Attributes
    ----------
    recording : Recording
    status : dict
        The module's counters at the end, see README.md beside its sources.
    cpu : Cpu
        From before the first request to after the last answer.
    """

    recording: Recording
    status: dict[str, Any]
    cpu: Cpu

    @property
    def grave(self) -> tuple[str, ...]:
        """Lines of NGINX's error log of the levels crit, alert and emerg."""
        return tuple(line for line in self.recording.warnings if _GRAVE.search(line))

    @property
    def uncounted_bytes(self) -> int:
        """What is on disk at the end beyond what NGINX counts; see `evictlab.sim.check.nginx`."""
        counted = next(cache["bytes"] for cache in self.status["caches"] if cache["zone"] == "cache")
        return int(self.recording.samples.block_bytes[-1]) - int(counted)


def run_once(
    trace: RequestTrace,
    base: RealConfig,
    setup: Setup,
    model: Model | None,
    *,
    rate_per_s: float,
    connections: int = 8,
    delay_s: float = 0.0,
    python: bool = False,
    priority: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> LearnedRun:
    """Send a trace at a constant rate through an NGINX with an empty cache.

    Parameters
    ----------
    trace : RequestTrace
        With sizes.
    base : RealConfig
        The cache; the directives of the module are added.
    setup : Setup
    model : Model or None
        Who evicts; None is NGINX's LRU, by the same manager interval.
    rate_per_s : float
    connections : int
    delay_s : float
        How long the origin waits.
    python : bool
        The sidecar in Python rather than that in C.
    priority : int, optional
        Nice value of the sidecar.
    progress : callable, optional
        Told the number of requests done since the last call.

    Raises
    ------
    NginxError, MissingNginxError
        NGINX does not start, dies, or is not installed.
    EvictlabError
        The sidecar does not start.
    """
    status: dict[str, Any] = {}
    taken: list[Cpu] = []
    with ExitStack() as stack:
        server, path = None, None
        if model is not None:
            server, path = stack.enter_context(serving(model, python=python, priority=priority))
        sidecar = None if server is None else server.pid

        def before(nginx: Nginx) -> None:
            taken.append(cpu_of(nginx.master, sidecar))

        def after(nginx: Nginx) -> None:
            taken.append(cpu_of(nginx.master, sidecar))
            time.sleep(2 * setup.interval_s)  # the manager looks at what is left
            status.update(status_of(nginx.places.client))

        recording = record(
            trace,
            setup.config(base, path),
            rate_per_s=rate_per_s,
            connections=connections,
            delay_s=delay_s,
            progress=progress,
            before=before,
            after=after,
        )
    return LearnedRun(recording, status, taken[1] - taken[0])


@contextmanager
def serving(model: Model, *, python: bool = False, priority: int | None = None) -> Iterator[tuple[Server, str]]:
    """Run the sidecar on a socket with a short name that NGINX's processes may use.

    Yields
    ------
    (Server, str)
        The process and its socket.
    """
    with tempfile.TemporaryDirectory(prefix="evictlab-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # NGINX's manager, another user when we are root, passes through
        path = folder / "s"
        account = worker_account(path)
        with listening(path, 0o600 if account is None else 0o660, None if account is None else account[1]) as listener:
            server = Server(listener, model, python=python, priority=priority, stdout=subprocess.DEVNULL)
            try:
                yield server, str(path)
            finally:
                server.stop()


class _Connection(http.client.HTTPConnection):
    """To a Unix socket, which is named as the host."""

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10.0)
        self.sock.connect(self.host)


def status_of(path: str) -> dict[str, Any]:
    """Return the module's counters, asked for on NGINX's own socket.

    Raises
    ------
    NginxError
        No such answer.
    """
    connection = _Connection(path)
    try:
        connection.request("GET", STATUS, headers={"Host": "status"})
        answer = connection.getresponse()
        status: dict[str, Any] = json.loads(answer.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NginxError(f"the module does not tell its counters ({error!r})") from None
    finally:
        connection.close()
    return status
