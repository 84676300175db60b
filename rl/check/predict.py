"""What the simulator says of a run before it is made: NGINX's LRU, and the learned policy in its place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...policies.registry import Policy
from ...sim.check.nginx import Ground, predicted
from ...sim.proxy.result import ProxyResult
from ...sim.proxy.runs import simulate_proxy
from ...traces.record.nginx.config import RealConfig
from ...traces.request import RequestTrace

__all__ = ["predict"]


def predict(
    trace: RequestTrace,
    base: RealConfig,
    rate_per_s: float,
    ground: Ground,
    interval_s: float,
    policy: str | Policy | None = None,
    *,
    seed: int = 0,
) -> ProxyResult:
    """Predict a run of the check.

    Parameters
    ----------
    trace : RequestTrace
        With sizes.
    base : RealConfig
        The cache.
    rate_per_s : float
    ground : Ground
        What else there is to know beforehand.
    interval_s : float
        How soon the manager looks again.
    policy : str or Policy, optional
        Whom the manager asks, as in `AsAsked("trap")`; without, it takes the tail of the queue, as NGINX does.
    seed : int
        Of the candidates that are drawn.
    """
    native = predicted(trace, replace(base, manager_interval_s=interval_s), rate_per_s, ground)
    if policy is None:
        return native
    manager = native.config.manager
    assert manager is not None
    seen = replace(
        trace,
        times=ground.start_unix_s % 1 + np.arange(len(trace)) / rate_per_s,
        # NGINX knows what its origin took, not what the trace says that one took.
        costs=np.full(len(trace), ground.delay_s, np.float32),
    )
    # Its answers take no time: what late ones cost is no matter of prediction, but counted.
    config = replace(native.config, manager=replace(manager, asks_policy=True))
    return simulate_proxy(seen, policy, config, seed=seed, compiled=True)
