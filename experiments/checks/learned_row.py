"""What one run of ``evictlab check learned`` showed, as a row of numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .learned_page import LEARNED, NATIVE, WINDOW

if TYPE_CHECKING:
    from ...rl.check.run import LearnedRun
    from ...sim.proxy.result import ProxyResult
    from .learned import Run

__all__ = ["row_of"]


def row_of(run: Run, made: LearnedRun, simulated: ProxyResult) -> dict[str, Any]:
    """Return everything that is one number, units in the names, ratios 0-1; and what is drawn, under ``series``."""
    import numpy as np

    from ...traces.record.nginx.recording import LATE_S

    real, cpu = made.recording, made.cpu
    sizes = real.source.sizes
    assert sizes is not None
    assert real.scheduled_s is not None
    late_s = np.maximum(real.sent_s - real.scheduled_s, 0.0)  # NaN where not sent
    took_ms = 1000 * (real.ended_s - real.sent_s)
    asking = cpu.sidecar + cpu.manager
    return {
        "workload": run.workload,
        "trace": real.source.name,
        "requests": len(real.source),
        "size": run.size,
        "max_size_bytes": real.config.max_size_bytes,
        "manager_interval_ms": 1000 * run.interval_s,
        "rate_per_s": run.rate_per_s,
        "repeat": run.repeat,
        "policy": run.policy,
        "model": run.model if run.policy == LEARNED else None,
        "sidecar": None if run.policy == NATIVE else "Python" if run.python else "C",
        "sidecar_nice": run.nice if run.policy == LEARNED else None,
        "hit_ratio": real.hit_ratio,
        "predicted_hit_ratio": simulated.hit_ratio,
        "difference": simulated.hit_ratio - real.hit_ratio,
        "agreeing": float((real.hits == simulated.served)[real.answered].mean()),
        "byte_hit_ratio": float(sizes[real.hits].sum() / max(1, sizes[real.answered].sum())),
        "predicted_byte_hit_ratio": simulated.byte_hit_ratio,
        "origin_requests": real.origin["requests"],
        "predicted_origin_requests": simulated.origin_requests,
        "peak_bytes": real.peak_bytes,
        "predicted_peak_bytes": simulated.disk_peak,
        "final_bytes": real.final_bytes,
        "predicted_final_bytes": simulated.disk_final,
        "uncounted_bytes": made.uncounted_bytes,
        "failed": len(real.failed),
        "late": int((late_s > LATE_S).sum()),
        "late_p99_ms": float(np.nanquantile(late_s, 0.99) * 1000),
        **_quantiles("latency", took_ms[real.answered]),
        **_quantiles("hit_latency", took_ms[real.hits]),
        **_counted(made.status if run.policy == LEARNED else None),
        "sidecar_cpu_s": cpu.sidecar,
        "manager_cpu_s": cpu.manager,
        "workers_cpu_s": cpu.workers,
        "core_share": asking / real.duration_s,
        "nginx_share": asking / max(asking + cpu.workers, 1e-9),
        "grave_lines": len(made.grave),
        "grave_first": re.sub(r'"/[^"]*/(cache/[^"]*)"', r'"\1"', made.grave[0]) if made.grave else None,
        "nginx": real.version,
        "series": {
            "real": _by_window(real.hits),
            "predicted": _by_window(simulated.served),
            "round_trip_us": made.status.get("round_trip_us", {}).get("buckets", []),
        },
    }


def _quantiles(name: str, values_ms: Any) -> dict[str, float | None]:
    import numpy as np

    shares = {"p50": 0.5, "p99": 0.99}
    if not len(values_ms):
        return {f"{name}_{share}_ms": None for share in shares}
    return {f"{name}_{share}_ms": float(np.quantile(values_ms, at)) for share, at in shares.items()}


def _counted(status: dict[str, Any] | None) -> dict[str, Any]:
    """What the module counted, see README.md beside its sources; None where it was not asked to decide."""
    names = ("rounds", "fallbacks", "asked", "ok", "late_answers", "errors", "victims", "victims_spared")
    trips = ("round_trip_p50_us", "round_trip_p95_us", "round_trip_p99_us")
    if status is None:
        return dict.fromkeys((*names, "why", "fallback_share", *trips))
    decisions, victims, trip = status["decisions"], status["victims"], status["round_trip_us"]
    why = {name: count for name, count in status["fallbacks"].items() if count}
    values = (
        status["rounds"]["all"],
        sum(why.values()),
        decisions["asked"],
        decisions["ok"],
        decisions["late"],
        decisions["failed"] + decisions["empty"],
        victims["evicted"],
        victims["gone"] + victims["busy"] + victims["touched"],
    )
    return {
        **dict(zip(names, values, strict=True)),
        "why": ", ".join(f"{name} {count}" for name, count in why.items()),
        "fallback_share": sum(why.values()) / max(1, status["rounds"]["all"]),
        **dict(zip(trips, (trip["p50"], trip["p95"], trip["p99"]), strict=True)),
    }


def _by_window(hits: Any) -> list[float]:
    """Hit ratio of each `WINDOW` requests."""
    return [round(float(hits[at : at + WINDOW].mean()), 4) for at in range(0, len(hits), WINDOW)]
