"""Drive a policy, or its naive twin, request by request in plain Python."""

from __future__ import annotations

from typing import Any

import numpy as np

from evictlab.policies import Policy, Setting, contract, parse_policy
from evictlab.policies.predictors import Predicted, parse_predictor
from evictlab.sim import loop as replay_loop
from evictlab.traces.request import RequestTrace


def next_use_of(ids: Any) -> np.ndarray:
    """Index of the next request to the same object; the dtype's maximum = never. Plain and slow."""
    never = np.iinfo(np.int32).max
    seen: dict[int, int] = {}
    out = np.empty(len(ids), np.int32)
    for i in range(len(ids) - 1, -1, -1):
        out[i] = seen.get(int(ids[i]), never)
        seen[int(ids[i])] = i
    return out


def run_policy(
    policy: str | Policy,
    ids: Any,
    capacity: int,
    sizes: Any = None,
    times: Any = None,
    ttls: Any = None,
    costs: Any = None,
    seed: int = 0,
    compiled: bool = False,
) -> tuple[list[int], np.ndarray]:
    """Replay and return (outcome of each request, counts); interpreted unless `compiled`."""
    ids = np.asarray(ids, np.int32)
    n = int(ids.max()) + 1
    sizes = None if sizes is None else np.asarray(sizes, np.int64)
    stored = None if sizes is None else np.zeros(n, np.int64)
    ttls = None if ttls is None else np.asarray(ttls, np.float32)
    times = None if times is None else np.asarray(times, np.float64)
    expires = None if ttls is None else np.zeros(n, np.float64)
    costs = None if costs is None else np.asarray(costs, np.float32)
    trace = RequestTrace(ids, n)
    setting = Setting(n, capacity, stored, seed, costs, sizes, lambda: next_use_of(ids), trace, times=times, ttls=ttls)
    state = parse_policy(policy).make(setting)
    outcomes = np.zeros(len(ids), np.uint8)
    counts = np.zeros(replay_loop.COUNTERS, np.int64)
    saved = None if costs is None else np.zeros(2)
    run = replay_loop.loop_for(state) if compiled else replay_loop.loop
    run(ids, sizes, times, ttls, costs, stored, expires, outcomes, 0, len(ids), capacity, counts, saved, state)
    return outcomes.tolist(), counts


def run_naive(twin: Any, ids: Any, capacity: int, sizes: Any = None, times: Any = None, ttls: Any = None) -> list[int]:
    """Replay a naive twin: `twin.resident(obj)`, `twin.request(obj, size, now)`; return the outcome of each request.

    `request` is told of every request whose object fits the cache, and returns False when it refused to admit a miss.
    """
    expires: dict[int, float] = {}
    out = []
    for i, obj in enumerate(int(o) for o in ids):
        size = 1 if sizes is None else int(sizes[i])
        if twin.resident(obj):
            twin.request(obj, size, i)
            outcome = replay_loop.HIT
            if ttls is not None and expires[obj] <= times[i]:
                outcome = replay_loop.EXPIRED_MISS
                expires[obj] = float(times[i]) + float(np.float32(ttls[i]))
        elif size > capacity or twin.request(obj, size, i) is False:
            outcome = replay_loop.REFUSED_MISS
        else:
            outcome = replay_loop.MISS
            if ttls is not None:
                expires[obj] = float(times[i]) + float(np.float32(ttls[i]))
        out.append(outcome)
    return out


def story(
    policy: str | Policy,
    letters: str,
    capacity: int,
    sizes: dict[str, int] | None = None,
    seed: int = 0,
    predict: Any = None,
) -> str:
    """Replay objects named by letters; tell for each request ``+`` (hit), ``.`` (miss), or who left for it: ``.. + A``.

    Several victims are written together, ``AB``; a refused newcomer is ``-``; those released after it stand behind ``/``.
    `predict` is one number per request: a string of bits, or a list.
    """
    names = sorted(set(letters.replace(" ", "")))
    policy = parse_policy(policy)
    ids = np.asarray([names.index(name) for name in letters.replace(" ", "")], np.int32)
    if predict is not None:
        told = [int(bit) for bit in predict.replace(" ", "")] if isinstance(predict, str) else predict
        policy = Predicted(policy, parse_predictor(np.asarray(told)))
    charged = None if sizes is None else np.asarray([sizes[name] for name in names], np.int64)
    stored = None if sizes is None else np.zeros(len(names), np.int64)
    state = policy.make(Setting(len(names), capacity, stored, seed, trace=RequestTrace(ids, len(names))))
    used, told = 0, []
    for now, name in enumerate(letters.replace(" ", "")):
        obj, left = names.index(name), ""
        size = 1 if charged is None else int(charged[obj])
        if contract.find(state, obj):
            contract.hit(state, obj, now, size)
            left, released = _released(state, obj, now, size, stored)
            used -= released
            told.append("+" + "".join(["/", *(names[o] for o in left)] if left else []))
            continue
        admitted = size <= capacity and contract.admit(state, obj, now, size)
        while admitted and used + size > capacity:
            victim = int(contract.evict(state, obj, now, size))
            admitted = victim != obj
            if admitted:
                left += names[victim]
                used -= 1 if stored is None else int(stored[victim])
                if stored is not None:
                    stored[victim] = 0
        if admitted:
            used += size
            if stored is not None:
                stored[obj] = size
            contract.insert(state, obj, now, size)
        gone, released = _released(state, obj, now, size, stored)
        used -= released
        told.append(
            ((left or ".") if admitted else left + "-") + "".join(["/", *(names[o] for o in gone)] if gone else [])
        )
    return " ".join(told)


def _released(state: Any, obj: int, now: int, size: int, stored: Any) -> tuple[list[int], int]:
    """Who leaves of the policy's own accord, and how much room that makes."""
    gone, freed = [], 0
    while (victim := int(contract.release(state, obj, now, size))) != contract.KEPT:
        gone.append(victim)
        freed += 1 if stored is None else int(stored[victim])
        if stored is not None:
            stored[victim] = 0
    return gone, freed
