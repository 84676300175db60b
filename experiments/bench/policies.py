"""Policies against libCacheSim's C, and the composed loop against loops written by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...policies.registry import parse_policy, spec_of
from ...sim import loop as at
from ...sim.job import Job
from . import by_hand
from .measure import interleaved
from .peer import PEERS, SLOW, peer_cache, peer_reader

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["against_hand", "against_peer"]

FRACTIONS = (0.01, 0.1)
SLOW_REQUESTS = 2_000_000


def against_peer(trace: RequestTrace, path: Path, *, rounds: int) -> Iterator[dict[str, Any]]:
    """Measure every shared policy on one trace at 1 % and 10 %, both single-threaded, tables built before the clock starts.

    libCacheSim's hash table is measured at 2**20 entries, where it is fastest on these traces, not at its default of 2**24.

    Yields
    ------
    dict
        trace, policy, capacity (fraction), requests, ours and theirs (M requests per CPU second), ratio, both miss ratios.
    """
    byte_sizes = trace.sizes is not None
    footprint = trace.footprint_bytes if byte_sizes else trace.n_objects
    for policy in PEERS:
        if byte_sizes and not spec_of(policy).sizes:
            continue
        requests = min(len(trace), SLOW_REQUESTS) if policy in SLOW else len(trace)
        for fraction in FRACTIONS:
            capacity = int(footprint * fraction)  # type: ignore[operator]

            def ours(policy: str = policy, capacity: int = capacity, requests: int = requests) -> Any:
                job = Job(trace, parse_policy(policy), capacity, byte_sizes=byte_sizes)

                def run() -> float:
                    job.run(requests)
                    return 1 - int(job.counts[at.HITS]) / requests

                return run

            def theirs(policy: str = policy, capacity: int = capacity, requests: int = requests) -> Any:
                reader, cache = peer_reader(path, ignore_sizes=not byte_sizes), peer_cache(policy, capacity, 20)
                return lambda: cache.process_trace(reader, 0, requests)[0]

            found = interleaved({"ours": ours, "theirs": theirs}, 1 if policy in SLOW else rounds)
            mine, its = found["ours"], found["theirs"]
            yield {
                "trace": trace.name,
                "policy": policy,
                "capacity": fraction,
                "requests": requests,
                "ours_mreq_s": requests / mine[0] / 1e6,
                "theirs_mreq_s": requests / its[0] / 1e6,
                "ratio": its[0] / mine[0],
                "ours_miss_ratio": mine[1],
                "theirs_miss_ratio": its[1],
            }


def against_hand(trace: RequestTrace, *, rounds: int) -> Iterator[dict[str, Any]]:
    """Measure the composed loop against loops written by hand, unit sizes.

    Yields
    ------
    dict
        policy, capacity, composed and by_hand (M requests per CPU second), ratio (composed / by hand; 1 = no loss).
    """
    for policy, written in by_hand.LOOPS.items():
        for fraction in FRACTIONS:
            capacity = int(trace.n_objects * fraction)

            def composed(policy: str = policy, capacity: int = capacity) -> Any:
                job = Job(trace, parse_policy(policy), capacity)

                def run() -> int:
                    job.run(len(trace))
                    return int(job.counts[at.HITS])

                return run

            def hand(written: Any = written, capacity: int = capacity) -> Any:
                written(trace.ids[:1], capacity, trace.n_objects)  # compile outside the clock
                return lambda: int(written(trace.ids, capacity, trace.n_objects))

            found = interleaved({"composed": composed, "hand": hand}, rounds)
            if found["composed"][1] != found["hand"][1]:
                raise RuntimeError(f"{policy} by hand gives {found['hand'][1]} hits, composed {found['composed'][1]}")
            yield {
                "policy": policy,
                "capacity": fraction,
                "composed_mreq_s": len(trace) / found["composed"][0] / 1e6,
                "by_hand_mreq_s": len(trace) / found["hand"][0] / 1e6,
                "ratio": found["hand"][0] / found["composed"][0],
            }
