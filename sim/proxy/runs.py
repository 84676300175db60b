"""Run a proxy over a trace: once, or for several policies and sizes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import simpy

from ...policies.registry import Policy, parse_policy
from ...policies.setting import Setting
from ...traces.errors import CapabilityError, UsageError
from ..job import check_capable, check_unseen
from ..plan import Capacity, capacity_of
from .decision import Decision
from .delay import TICKS, Delay, parse_delay, ticks_of
from .follower import Follower
from .manager import Manager
from .meter import Meter
from .origin import Origin, parse_origin
from .requests import Requests
from .result import ProxyResult
from .server import Proxy
from .table import ProxyTable
from .zone import Zone

if TYPE_CHECKING:
    from ...traces.request import RequestTrace
    from .config import ProxyConfig

__all__ = ["check_proxy", "simulate_proxy", "sweep_proxy"]

SAMPLES = 500
"""Of the size on disk, where nothing else is asked for."""

Progress = Callable[[int], None]


def simulate_proxy(
    trace: RequestTrace,
    policy: str | Policy,
    config: ProxyConfig,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    compiled: bool | None = None,
) -> ProxyResult:
    """Run the requests of a trace through a caching proxy.

    Parameters
    ----------
    trace : RequestTrace
    policy : str or Policy
        Any policy of the registry. It decides whom the manager forces out, or who makes room.
    config : ProxyConfig
    seed : int
        Of the policy, of the origin's delays and of those of decisions.
    progress : callable, optional
        Told the number of requests that arrived since the last call.
    compiled : bool, optional
        Compile how the policy chooses its victims: seconds for the first time, then a hundred times as fast for one that
        computes as much as ``cold_rl``. Outcomes are the same. By default, those of the family ``learned``.

    Returns
    -------
    ProxyResult
        With no delay anywhere and `SYNC` for a manager, outcomes are those of the compiled replay, request by request.

    Raises
    ------
    UsageError, CapabilityError
        The trace or the policy lacks what the configuration needs.
    """
    policy = parse_policy(policy)
    capacity = check_proxy(trace, policy, config)
    charged = _charged(trace, config) if capacity.byte_sizes else None
    requests = Requests(trace, config, charged)
    seeds = np.random.SeedSequence(seed).generate_state(2)
    took = _origin(trace, config).timer(trace, int(seeds[0]))

    asynchronous = config.manager is not None
    counted = np.ones(len(trace), np.int64) if asynchronous and charged is None else charged
    stored = None if counted is None else np.zeros(trace.n_objects, np.int64)
    setting = Setting(
        n_objects=trace.n_objects,
        capacity=capacity.amount,
        stored=stored,
        seed=seed,
        costs=trace.costs,
        times=requests.seconds,
        ttls=requests.ttls,
        request_sizes=counted,
        future=lambda: trace.next_use,
        trace=trace,
    )
    env, meter = simpy.Environment(), Meter()
    zone = Zone(meter, config.keys_zone_nodes, ticks_of(config.inactive_s))
    if compiled is None:
        compiled = any(part.spec.family == "learned" for part in policy.parts())
    follower = Follower(policy.make(setting), stored, capacity.amount, zone, policy, compiled)
    proxy = Proxy(env, config, requests, zone, follower, took)
    begin = requests.arrived(0)
    decision, manager = None, None
    if config.manager is not None:
        latency = (
            None if config.decision_latency is None else parse_delay(config.decision_latency).drawer(int(seeds[1]))
        )
        deadline = None if config.deadline_s is None else ticks_of(config.deadline_s)
        decision = Decision(follower, zone, latency, deadline)
        block = config.block_bytes if charged is not None and config.block_bytes else 1
        manager = Manager(env, config.manager, zone, capacity.amount // block * block, decision)
        env.process(manager.run(begin + ticks_of(config.manager.first_wake_s), meter.sample))
    env.process(_sampling(env, meter, begin, _sample_ticks(config, requests)))
    env.process(proxy.arrivals(progress))
    with np.errstate(all="ignore"):  # policies count modulo 2^64, which numpy would remark on
        env.run(until=proxy.all_answered)
    meter.sample(env.now)
    series_s, series_size, series_objects = meter.series(begin)
    return ProxyResult(
        trace=trace.name,
        policy=policy.label,
        config=config,
        seed=seed,
        capacity=capacity.amount,
        in_bytes=capacity.byte_sizes,
        seconds=requests.seconds - requests.seconds[0],
        sizes=trace.sizes,
        outcomes=requests.outcomes,
        latency=requests.latency,
        origin_requests=proxy.origin.requests,
        origin_bytes=proxy.origin.bytes,
        origin_peak=proxy.origin.peak,
        evictions=zone.evictions,
        forced=0 if manager is None else manager.forced,
        inactive=0 if manager is None else manager.expired,
        forced_on_path=zone.forced_on_path,
        refused=proxy.refused,
        decisions_ok=0 if decision is None else decision.ok,
        decisions_late=0 if decision is None else decision.late,
        decisions_without=0 if decision is None else decision.without,
        wakes=0 if manager is None else manager.wakes,
        disk_peak=meter.peak,
        disk_final=meter.bytes,
        disk_mean=meter.mean(env.now),
        objects_peak=meter.peak_objects,
        objects_final=meter.objects,
        duration_s=(env.now - begin) / TICKS,
        series_s=series_s,
        series_size=series_size,
        series_objects=series_objects,
    )


def check_proxy(trace: RequestTrace, policy: Policy, config: ProxyConfig) -> Capacity:
    """Return the capacity for this trace, and refuse what cannot be simulated before anything is.

    Raises
    ------
    UsageError, CapabilityError
    """
    capacity = capacity_of(config.size, trace)
    expires = config.ttl is not None and not (config.ttl == "trace" and trace.ttls is None)
    if config.manager is not None and (rigid := [part.spec.name for part in policy.parts() if not part.spec.sizes]):
        raise CapabilityError(
            f"{rigid[0]} counts objects and never holds more than fit, but with an asynchronous manager a cache outgrows its "
            "size. Take the synchronous one with a size in objects: --manager-interval sync --size 5000obj."
        )
    check_capable(policy, trace, byte_sizes=capacity.byte_sizes, ttl=expires)
    check_unseen(policy, trace, 0)
    if trace.times is None and config.rate_per_s is None:
        raise CapabilityError(
            f"{trace.name or 'the trace'} has no times at which requests arrive; give a rate, as in --rate 500/s"
        )
    if config.client_bytes_per_s is not None and trace.sizes is None:
        raise CapabilityError(
            f"{trace.name or 'the trace'} has no sizes, by which a transfer to clients could take time"
        )
    if capacity.byte_sizes and capacity.amount < config.block_bytes:
        raise UsageError(
            f"a cache of {config.size} has no room for one block of {config.block_bytes} bytes; "
            "give it more, or count bytes and not blocks (--block none)"
        )
    _origin(trace, config).timer(trace, 0)
    return capacity


def sweep_proxy(
    trace: RequestTrace,
    policies: Iterable[str | Policy],
    config: ProxyConfig,
    sizes: Sequence[str] = (),
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> ProxyTable:
    """Run every policy at every size (without `sizes`, that of `config`), one after the other.

    Raises
    ------
    UsageError, CapabilityError
        As `simulate_proxy`; before any run begins.
    """
    chosen = [parse_policy(policy) for policy in policies]
    runs = [(policy, replace(config, size=size)) for policy in chosen for size in (sizes or [config.size])]
    for policy, one in runs:
        check_proxy(trace, policy, one)
    if not runs:
        raise UsageError("nothing to simulate: no policy given")
    return ProxyTable([simulate_proxy(trace, policy, one, seed=seed, progress=progress) for policy, one in runs], trace)


def _origin(trace: RequestTrace, config: ProxyConfig) -> Origin:
    if config.origin is None:
        return Origin(None) if trace.costs is not None else Origin(Delay(0.0))
    return parse_origin(config.origin)


def _charged(trace: RequestTrace, config: ProxyConfig) -> npt.NDArray[np.int64]:
    """Header and body, in whole blocks."""
    assert trace.sizes is not None
    whole = trace.sizes + config.header_bytes
    if not config.block_bytes:
        return whole
    rounded: npt.NDArray[np.int64] = -(-whole // config.block_bytes) * config.block_bytes
    return rounded


def _sample_ticks(config: ProxyConfig, requests: Requests) -> int:
    if config.sample_s is not None:
        return ticks_of(config.sample_s)
    return max(TICKS // 1000, (requests.arrived(len(requests) - 1) - requests.arrived(0)) // SAMPLES)


def _sampling(env: simpy.Environment, meter: Meter, begin: int, every: int) -> Generator[Any, Any, None]:
    yield env.timeout(begin)
    while True:
        meter.sample(env.now)
        yield env.timeout(every)
