"""One replay of one policy at one capacity: resumable, and refused early when the policy cannot do it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..policies.predictors.predicted import Predicted
from ..policies.registry import Policy
from ..policies.setting import Setting
from ..traces.errors import CapabilityError, PredictionError, UsageError
from . import loop as at

if TYPE_CHECKING:
    from ..traces.request import RequestTrace

__all__ = ["Job", "check_capable", "check_unseen"]


def check_capable(policy: Policy, trace: RequestTrace, *, byte_sizes: bool, ttl: bool) -> None:
    """Refuse a policy that lacks what the trace or the options need, with the reason.

    Parameters
    ----------
    policy : Policy
    trace : RequestTrace
    byte_sizes : bool
        The capacity is in bytes.
    ttl : bool
        Objects expire.

    Raises
    ------
    CapabilityError
    """
    if policy.predictions and not isinstance(policy, Predicted):
        raise CapabilityError(
            f"{policy.label} reads a prediction with each request: say whose, as in --predict pleco, or {policy.label}@pleco. "
            "truth is an oracle, learned looks at the past only. See: evictlab predictors."
        )
    for part in policy.parts():
        spec = part.spec
        if spec.combines and part is policy:
            raise CapabilityError(f"{spec.name} combines two policies. Put it before them: {spec.name}+sieve+lru.")
        if spec.admission and part is policy:
            raise CapabilityError(
                f"{spec.name} decides who enters, but not who leaves. Put it before an eviction policy: {spec.name}+lru."
            )
        if byte_sizes and not spec.sizes:
            raise CapabilityError(
                f"{spec.name} counts objects and has no rule for byte sizes; {trace.name} has sizes. "
                "Give the capacity in objects (--size 5000obj), or ignore the sizes (--ignore-sizes)."
            )
        if ttl and not spec.ttl:
            raise CapabilityError(
                f"{spec.name} cannot handle objects that expire. "
                "Leave out --ttl, or see `evictlab policies` for those that can."
            )


def check_unseen(policy: Policy, trace: RequestTrace, begin: int) -> None:
    """Refuse to count requests whose futures the policy's predictor was trained on.

    Parameters
    ----------
    policy : Policy
    trace : RequestTrace
    begin : int
        Index of the first request that is counted.

    Raises
    ------
    PredictionError
    """
    if not isinstance(policy, Predicted):
        return
    seen = policy.predictor.source.seen(trace)
    if begin < seen:
        raise PredictionError(
            f"{policy.predictor.label} was trained on the first {seen:,} of the {len(trace):,} requests of {trace.name} and "
            f"knows their futures; count only what follows: --warmup {-(-100 * seen // len(trace))}%"
        )


class Job:
    """A cache that is being replayed.

    Parameters
    ----------
    trace : RequestTrace
    policy : Policy
    capacity : int
        Bytes, or objects unless `byte_sizes`.
    byte_sizes : bool
        Charge each object its size; otherwise 1.
    ttls : float32[n_requests], seconds, optional
        Lifetimes; ``inf`` = does not expire. Needs the trace's times.
    seed : int

    Attributes
    ----------
    done : int
        Requests replayed so far.
    counts : int64[COUNTERS]
        Totals so far, see `evictlab.sim.loop`.
    saved : float64[2] or None
        Origin seconds of all requests and of the hits; None when the trace has no costs.
    cpu_s : float
        CPU seconds spent in the loop, compilation left out.
    """

    def __init__(
        self,
        trace: RequestTrace,
        policy: Policy,
        capacity: int,
        *,
        byte_sizes: bool = False,
        ttls: npt.NDArray[np.float32] | None = None,
        seed: int = 0,
    ) -> None:
        if capacity < 1:
            raise UsageError(f"a capacity of {capacity} holds nothing; it must be at least 1")
        if byte_sizes and trace.sizes is None:
            raise UsageError(f"{trace.name} has no sizes: give the capacity in objects, as in 5000obj")
        if ttls is not None and trace.times is None:
            raise UsageError(f"{trace.name} has no times, so nothing can expire; leave out the TTL")
        check_capable(policy, trace, byte_sizes=byte_sizes, ttl=ttls is not None)
        self.trace, self.policy, self.capacity, self.seed = trace, policy, capacity, seed
        self.done = 0
        self.cpu_s = 0.0
        self.counts = np.zeros(at.COUNTERS, np.int64)
        self.saved = None if trace.costs is None else np.zeros(2)
        self._sizes = trace.sizes if byte_sizes else None
        self._ttls = ttls
        self._stored = np.zeros(trace.n_objects, np.int64) if byte_sizes else None
        self._expires = None if ttls is None else np.zeros(trace.n_objects)
        self.state: Any = policy.make(
            Setting(
                n_objects=trace.n_objects,
                capacity=capacity,
                stored=self._stored,
                seed=seed,
                costs=trace.costs,
                times=trace.times,
                ttls=ttls,
                request_sizes=self._sizes,
                future=lambda: trace.next_use,
                trace=trace,
            )
        )
        self._loop = at.loop_for(self.state)
        self._step(0)  # compile, or load the compiled code, outside the clock
        self.cpu_s = 0.0

    def run(self, stop: int) -> None:
        """Replay up to request `stop` (exclusive); a second call goes on from there."""
        self._step(max(self.done, min(stop, len(self.trace))))

    def _step(self, stop: int) -> None:
        trace = self.trace
        began = time.thread_time()
        self._loop(
            trace.ids,
            self._sizes,
            None if self._ttls is None else trace.times,
            self._ttls,
            trace.costs,
            self._stored,
            self._expires,
            None,
            self.done,
            stop,
            self.capacity,
            self.counts,
            self.saved,
            self.state,
        )
        self.cpu_s += time.thread_time() - began
        self.done = stop
