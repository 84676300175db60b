"""The same requests through a real NGINX and through the simulated proxy.

The prediction knows the trace, the rate at which requests are sent, NGINX's configuration, the clock when the run began (for
lifetimes end with full seconds), when the cache manager started, and what the removal of a file takes on this disk: nothing of
what NGINX then did.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..proxy.config import CacheManager, ProxyConfig, keys_zone_nodes
from ..proxy.runs import simulate_proxy

if TYPE_CHECKING:
    from ...traces.record.nginx.config import RealConfig
    from ...traces.record.nginx.recording import Recording
    from ...traces.request import RequestTrace
    from ..proxy.result import ProxyResult

__all__ = ["Ground", "NginxCheck", "check_nginx", "predicted", "removal_s"]

STOCK_INTERVAL_S = 10.0
"""A manager with nothing to do looks again after this time; fixed in NGINX."""


TRIED_FILES = 200
"""Files whose removal is timed, for the prediction; a sweep of thousands takes the manager a while."""


@dataclass(frozen=True)
class Ground:
    """What is known of a run before NGINX answers anything.

    Attributes
    ----------
    manager_start_s : float
        When the cache manager started, seconds after the first request; not positive.
    start_unix_s : float
        The clock at the first request.
    block_bytes : int
        In which NGINX counts.
    delete_s : float
        What the removal of a file takes.
    delay_s : float
        How long the origin waits.
    """

    manager_start_s: float
    start_unix_s: float = 0.0
    block_bytes: int = 4096
    delete_s: float = 0.0
    delay_s: float = 0.0


@dataclass(frozen=True, eq=False)
class NginxCheck:
    """A recording of NGINX and the prediction of it.

    Attributes
    ----------
    real : Recording
    simulated : ProxyResult
    """

    real: Recording
    simulated: ProxyResult

    @property
    def difference(self) -> float:
        """Predicted minus real hit ratio."""
        return self.simulated.hit_ratio - self.real.hit_ratio

    @property
    def real_byte_hit_ratio(self) -> float:
        """Share of the answered bytes that NGINX served from its cache."""
        sizes = self.real.source.sizes
        assert sizes is not None
        answered, hits = self.real.answered, self.real.hits
        return float(sizes[hits].sum() / max(1, sizes[answered].sum()))

    @property
    def agreeing(self) -> float:
        """Share of the answered requests that are a hit in both or in none."""
        answered = self.real.answered
        same = self.real.hits[answered] == self.simulated.served[answered]
        return float(same.mean())

    @property
    def manager_p90_s(self) -> float | None:
        """Time between two rounds of a manager that looks often, which nine of ten do not exceed.

        None for a stock one, and where `RealConfig.watch_manager` is not set or NGINX has no ``--with-debug``.
        """
        rounds = self.real.rounds
        if rounds is None or self.real.config.manager_interval_s is None:
            return None
        during = rounds.t_s[(rounds.t_s >= 0) & (rounds.t_s <= self.real.duration_s)]
        return float(np.quantile(np.diff(during), 0.9)) if len(during) > 1 else None

    @property
    def uncounted_bytes(self) -> int | None:
        """What is on disk at the end beyond what NGINX counts, in bytes; None where no round of its manager tells.

        NGINX loses count when a request comes for an object in the very moment of its removal: measured, and by our reading
        of ``ngx_http_file_cache_delete``, which takes the size off while the file goes, and of ``..._update``, which then
        takes it off again. From there on its cache is larger than ``max_size`` by that object, and hits more.
        """
        rounds, samples = self.real.rounds, self.real.samples
        if rounds is None:
            return None
        ended_s = float(np.nanmax(self.real.ended_s))
        looked = (rounds.t_s > ended_s) & (rounds.t_s < samples.t_s[-1]) & (rounds.left_blocks >= 0)
        if not looked.any():
            return None
        return int(samples.block_bytes[-1]) - int(rounds.left_blocks[looked][-1]) * self.real.block_bytes

    def series(self) -> dict[str, npt.NDArray[Any]]:
        """Bytes in the cache over time, of both: ``real_s``, ``real_bytes``, ``simulated_s``, ``simulated_bytes``."""
        samples = self.real.samples
        during = samples.t_s >= 0
        return {
            "real_s": samples.t_s[during],
            "real_bytes": samples.block_bytes[during],
            "simulated_s": self.simulated.series_s,
            "simulated_bytes": self.simulated.series_size,
        }

    def to_row(self) -> dict[str, Any]:
        """Return everything that is one number; units in the names, ratios 0-1."""
        real, simulated = self.real, self.simulated
        late = real.lateness
        interval_s = real.config.manager_interval_s
        return {
            "trace": real.source.name,
            "requests": len(real.source),
            "max_size_bytes": real.config.max_size_bytes,
            "manager": "stock" if interval_s is None else f"{interval_s * 1000:g}ms",
            "rate_per_s": real.options["rate_per_s"],
            "real_hit_ratio": real.hit_ratio,
            "predicted_hit_ratio": simulated.hit_ratio,
            "difference": self.difference,
            "agreeing": self.agreeing,
            "real_byte_hit_ratio": self.real_byte_hit_ratio,
            "predicted_byte_hit_ratio": simulated.byte_hit_ratio,
            "real_peak_bytes": real.peak_bytes,
            "predicted_peak_bytes": simulated.disk_peak,
            "real_final_bytes": real.final_bytes,
            "predicted_final_bytes": simulated.disk_final,
            "uncounted_bytes": self.uncounted_bytes,
            "real_origin_requests": real.origin["requests"],
            "predicted_origin_requests": simulated.origin_requests,
            "manager_start_s": real.manager_start_s,
            "removal_s": 0.0 if simulated.config.manager is None else simulated.config.manager.delete_s,
            "manager_p90_ms": None if (slow := self.manager_p90_s) is None else 1000 * slow,
            "late_p99_ms": None if late is None else 1000 * late.p99_s,
            "failed": len(real.failed),
            "nginx": real.version,
        }


def check_nginx(
    trace: RequestTrace,
    config: RealConfig,
    *,
    rate_per_s: float,
    connections: int = 8,
    delay_s: float = 0.0,
    progress: Callable[[int], None] | None = None,
) -> NginxCheck:
    """Send a trace through a real NGINX at a constant rate, and predict what it does.

    Parameters
    ----------
    trace : RequestTrace
        With sizes.
    config : RealConfig
        Its ``max_size`` is the capacity.
    rate_per_s : float
    connections : int
        At least rate x delay, or requests are sent late.
    delay_s : float
        How long the origin waits before it answers.
    progress : callable, optional
        Told the number of requests done since the last call.

    Raises
    ------
    UsageError
        The trace has no sizes.
    NginxError, MissingNginxError
        NGINX does not start, dies, or is not installed.
    """
    from ...traces.record.nginx import record

    delete_s = removal_s(trace, config.folder)
    real = record(trace, config, rate_per_s=rate_per_s, connections=connections, delay_s=delay_s, progress=progress)
    ground = Ground(real.manager_start_s, real.start_unix_s, real.block_bytes, delete_s, delay_s)
    return NginxCheck(real, predicted(trace, config, rate_per_s, ground))


def removal_s(trace: RequestTrace, folder: Path | None = None) -> float:
    """Time the removal of files as large as half of the objects are at most; seconds each.

    Parameters
    ----------
    trace : RequestTrace
        With sizes.
    folder : Path, optional
        Where to make them; default: the system's for temporary files.
    """
    assert trace.object_sizes is not None
    body = bytes(int(np.median(trace.object_sizes)))
    with tempfile.TemporaryDirectory(prefix="evictlab-", dir=folder) as name:
        files = [Path(name) / str(number) for number in range(TRIED_FILES)]
        for file in files:
            file.write_bytes(body)
        began = time.perf_counter()
        for file in files:
            file.unlink()
        return (time.perf_counter() - began) / TRIED_FILES


def predicted(trace: RequestTrace, config: RealConfig, rate_per_s: float, ground: Ground) -> ProxyResult:
    """Predict a recording.

    Parameters
    ----------
    trace, config, rate_per_s
        As for `check_nginx`.
    ground : Ground
        What else there is to know beforehand.
    """
    interval_s = STOCK_INTERVAL_S if config.manager_interval_s is None else config.manager_interval_s
    manager = CacheManager(
        interval_s=interval_s,
        files=config.manager_files,
        threshold_s=config.manager_threshold_s,
        sleep_s=config.manager_sleep_s,
        delete_s=ground.delete_s,
        # Until the first request there is nothing to do, so the manager wakes every interval.
        first_wake_s=ground.manager_start_s + interval_s * math.ceil(-ground.manager_start_s / interval_s),
        asks_policy=False,
    )
    times_s = ground.start_unix_s % 1 + np.arange(len(trace)) / rate_per_s
    return simulate_proxy(
        replace(trace, times=times_s),
        "lru",
        ProxyConfig(
            size=f"{config.max_size_bytes}B",
            manager=manager,
            inactive_s=config.inactive_s,
            keys_zone_nodes=keys_zone_nodes(f"{config.keys_zone_bytes}B"),
            block_bytes=ground.block_bytes,
            header_bytes=_header_bytes(trace),
            min_uses=config.min_uses,
            ttl=float(config.ttl_s),
            whole_seconds=True,
            lock=config.lock,
            lock_age_s=config.lock_age_s,
            lock_timeout_s=config.lock_timeout_s,
            use_stale_updating=config.use_stale_updating,
            background_update=config.background_update,
            origin=ground.delay_s,
        ),
    )


def _header_bytes(trace: RequestTrace) -> int:
    """What a file in NGINX's cache holds beside the body: the median over the objects, whose names differ in length."""
    from ...traces.record.nginx.disk import file_bytes
    from ...traces.record.nginx.driver import uri_of

    sizes = trace.object_sizes
    assert sizes is not None
    keys = trace.keys.tolist() if isinstance(trace.keys, np.ndarray) else trace.keys.to_pylist()
    lengths = np.array([len(uri_of(key)) for key in keys], np.int64)
    return int(np.median(file_bytes(lengths, sizes) - sizes))
