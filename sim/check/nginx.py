"""The same requests through a real NGINX and through the simulated proxy.

The prediction knows the trace, the rate at which requests are sent, NGINX's configuration, when its cache manager started,
and what the removal of a file takes on this disk: nothing of what NGINX then did. The origin of the check answers at once, so
the simulated one does, too.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..proxy.config import CacheManager, ProxyConfig
from ..proxy.runs import simulate_proxy

if TYPE_CHECKING:
    from ...traces.record.nginx.config import RealConfig
    from ...traces.record.nginx.recording import Recording
    from ...traces.request import RequestTrace
    from ..proxy.result import ProxyResult

__all__ = ["NginxCheck", "check_nginx", "predicted"]

STOCK_INTERVAL_S = 10.0
"""A manager with nothing to do looks again after this time; fixed in NGINX."""


TRIED_FILES = 200
"""Files whose removal is timed, for the prediction; a sweep of thousands takes the manager a while."""


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
            "real_origin_requests": real.origin["requests"],
            "predicted_origin_requests": simulated.origin_requests,
            "manager_start_s": real.manager_start_s,
            "removal_s": 0.0 if simulated.config.manager is None else simulated.config.manager.delete_s,
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
    progress: Callable[[int], None] | None = None,
) -> NginxCheck:
    """Send a trace through a real NGINX at a constant rate, and predict what it does.

    Parameters
    ----------
    trace : RequestTrace
        With sizes.
    config : RealConfig
        Its ``max_size`` is the capacity; nothing expires within a check.
    rate_per_s : float
    connections : int
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
    real = record(trace, config, rate_per_s=rate_per_s, connections=connections, progress=progress)
    return NginxCheck(real, predicted(trace, config, rate_per_s, real.manager_start_s, real.block_bytes, delete_s))


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


def predicted(
    trace: RequestTrace,
    config: RealConfig,
    rate_per_s: float,
    manager_start_s: float,
    block_bytes: int,
    delete_s: float = 0.0,
) -> ProxyResult:
    """Predict a recording.

    Parameters
    ----------
    trace, config, rate_per_s
        As for `check_nginx`.
    manager_start_s : float
        When the cache manager started, seconds after the first request; not positive.
    block_bytes : int
        In which NGINX counts.
    delete_s : float
        What the removal of a file takes.
    """
    interval_s = STOCK_INTERVAL_S if config.manager_interval_s is None else config.manager_interval_s
    manager = CacheManager(
        interval_s=interval_s,
        files=config.manager_files,
        threshold_s=config.manager_threshold_s,
        sleep_s=config.manager_sleep_s,
        delete_s=delete_s,
        # Until the first request there is nothing to do, so the manager wakes every interval.
        first_wake_s=manager_start_s + interval_s * math.ceil(-manager_start_s / interval_s),
    )
    return simulate_proxy(
        trace,
        "lru",
        ProxyConfig(
            size=f"{config.max_size_bytes}B",
            manager=manager,
            inactive_s=config.inactive_s,
            block_bytes=block_bytes,
            header_bytes=_header_bytes(trace),
            min_uses=config.min_uses,
            lock=config.lock,
            use_stale_updating=config.use_stale_updating,
            background_update=config.background_update,
            origin=0.0,
            rate_per_s=rate_per_s,
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
