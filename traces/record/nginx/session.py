"""One recording: NGINX, its origin and the driver put together."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from ...errors import UsageError
from .binary import find_nginx, nginx_version
from .config import RealConfig
from .disk import SAMPLE, block_bytes
from .driver import FAILURES, LEAD_S, Plan, drive, uri_of
from .errors import NginxError
from .helper import Helper
from .logs import Rounds, read_access_log, read_manager_log, warnings_in
from .recording import Recording, Samples
from .server import Nginx, running_nginx
from .ticker import Ticker

if TYPE_CHECKING:
    from ...request import RequestTrace

__all__ = ["record"]

SAMPLE_S = 0.05
"""Between two looks at the folder of the cache."""


def record(
    trace: RequestTrace,
    config: RealConfig,
    *,
    rate_per_s: float | Literal["trace"] | None = None,
    speed: float = 1.0,
    connections: int = 8,
    delay_s: float | Literal["trace"] = 0.0,
    access_log: Path | None = None,
    progress: Callable[[int], None] | None = None,
    before: Callable[[Nginx], None] | None = None,
    after: Callable[[Nginx], None] | None = None,
) -> Recording:
    """Send a trace through a real NGINX with an empty cache, and record what it did.

    Every request is a GET; the origin answers with as many bytes as the trace says. NGINX, the origin and their
    folder are gone when this returns or raises, and soon after this process is killed.

    Parameters
    ----------
    trace : RequestTrace
        With sizes.
    config : RealConfig
    rate_per_s : float, "trace" or None
        Requests are sent at a constant rate, at the times of the trace, or (None) one by one on each connection
        as soon as the one before is answered.
    speed : float
        The times of the trace pass this many times faster.
    connections : int
        To NGINX, all of them kept alive.
    delay_s : float or "trace"
        How long the origin waits before it answers, to 1/1000 s; ``"trace"`` is the cost of each request.
    access_log : Path, optional
        Keep NGINX's own log there.
    progress : callable (int), optional
        Told how many more requests are done.
    before, after : callable (Nginx), optional
        Shown the running NGINX before the first request, and after the last answer.

    Raises
    ------
    UsageError
        The trace has no sizes, or no times or costs that were asked for.
    MissingNginxError
        None is installed.
    NginxError
        It does not start, dies, or answers hardly anything.
    """
    plan = _plan(trace, rate_per_s, speed, delay_s)
    if sys.platform != "linux":
        raise UsageError(f"a recording needs Linux, where it can see NGINX's processes; this is {sys.platform}")
    if connections < 1:
        raise UsageError(f"{connections} connections cannot send anything")
    version = nginx_version(find_nginx())
    with ExitStack() as stack:
        nginx = stack.enter_context(running_nginx(config))
        places = nginx.places
        origin = stack.enter_context(Helper("origin", places.origin))
        if config.manager_interval_s is not None:
            stack.enter_context(Ticker(nginx, config))
        manager, manager_start_s = nginx.manager_started()
        weigher = stack.enter_context(Helper("disk", str(places.cache), str(places.samples), str(SAMPLE_S)))
        time.sleep(max(0.0, manager_start_s + config.settle_s - LEAD_S - time.monotonic()))
        since_1970_s = time.time() - time.monotonic()
        if before is not None:
            before(nginx)
        run = drive(places.client, plan, connections, progress, nginx.check)
        if after is not None:
            after(nginx)
        time.sleep(2 * SAMPLE_S)  # a look at what is left
        weigher.close()
        nginx.finish()
        if len(run.failed) > FAILURES:
            raise NginxError(f"more than {FAILURES} requests failed ({run.failed[0][1]})", nginx.last_words())
        if access_log is not None:
            shutil.copyfile(places.access_log, access_log)
        answers = read_access_log(places.access_log, len(trace))
        if not (answers.http_status == 200).any():
            problem = f"no request was answered ({run.failed[0][1] if run.failed else answers.http_status[0]})"
            raise NginxError(problem, nginx.last_words())
        return Recording(
            source=trace,
            config=config,
            options={
                "rate_per_s": rate_per_s,
                "speed": speed,
                "connections": connections,
                "delay_s": delay_s,
            },
            scheduled_s=plan.due_s,
            sent_s=run.sent_s - run.start_s,
            ended_s=run.ended_s - run.start_s,
            status=answers.status,
            http_status=answers.http_status,
            body_bytes=answers.body_bytes,
            upstream_s=answers.upstream_s,
            start_unix_s=since_1970_s + run.start_s,
            samples=_samples(places.samples, run.start_s),
            rounds=_shifted(read_manager_log(places.manager_log, manager), run.start_s)
            if config.watch_manager
            else None,
            manager_start_s=manager_start_s - run.start_s,
            block_bytes=block_bytes(places.cache),
            version=version,
            conf=nginx.conf,
            warnings=warnings_in(places.error_log),
            failed=tuple(run.failed),
            origin=_counted(origin),
        )


def _plan(
    trace: RequestTrace, rate_per_s: float | Literal["trace"] | None, speed: float, delay_s: float | Literal["trace"]
) -> Plan:
    if trace.sizes is None:
        raise UsageError(f"{trace.name}: without sizes the origin cannot answer; a generated trace takes sizes=...")
    if not speed > 0:
        raise UsageError(f"speed {speed!r} must be above 0")
    due_s: npt.NDArray[np.float64] | None = None
    if rate_per_s == "trace":
        if trace.times is None:
            raise UsageError(f"{trace.name}: the trace has no times; give a rate such as 500/s")
        due_s = (trace.times - trace.times[0]) / speed
    elif rate_per_s is not None:
        if not rate_per_s > 0:
            raise UsageError(f"a rate of {rate_per_s!r} requests/s sends nothing")
        due_s = np.arange(len(trace)) / float(rate_per_s)
    delay_ms: npt.NDArray[np.int64] | None = None
    if delay_s == "trace":
        if trace.costs is None:
            raise UsageError(f"{trace.name}: the trace has no costs that the origin could wait for")
        delay_ms = np.rint(trace.costs.astype(np.float64) * 1000).astype(np.int64)
    elif delay_s:
        delay_ms = np.full(len(trace), round(delay_s * 1000), np.int64)
    keys = trace.keys.tolist() if isinstance(trace.keys, np.ndarray) else trace.keys.to_pylist()
    return Plan([uri_of(key) for key in keys], trace.ids, trace.sizes, due_s, delay_ms)


def _counted(origin: Helper) -> dict[str, int]:
    last = origin.close()
    if not last:
        raise NginxError(f"the origin ended during the run (exit code {origin.ended()})")
    counts: dict[str, int] = json.loads(last)
    return counts


def _samples(path: Path, start_s: float) -> Samples:
    dtype = np.dtype([("t_s", "<f8"), ("allocated", "<i8"), ("blocks", "<i8"), ("files", "<i8")])
    raw = path.read_bytes()
    looks = np.frombuffer(raw[: len(raw) // SAMPLE.size * SAMPLE.size], dtype)
    return Samples(looks["t_s"] - start_s, looks["allocated"], looks["blocks"], looks["files"])


def _shifted(rounds: Rounds, start_s: float) -> Rounds:
    return replace(rounds, t_s=rounds.t_s - start_s)
