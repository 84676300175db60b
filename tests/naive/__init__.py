"""Naive twins: each policy once more, in a few lines of plain Python over lists and dicts.

A twin has `resident(obj)` and `request(obj, size, now)` (False = refused to admit). Its module is named after the policy
and may list several parameter sets to be tried in `CASES`; the default is the policy as it comes.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from evictlab.policies import Policy, parse_policy
from evictlab.policies.cache.compose import Admitted
from evictlab.policies.predictive.combine import Combined
from evictlab.policies.predictors import Predicted
from evictlab.policies.shadow import part_seed
from evictlab.traces.request import RequestTrace

_MODULES = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def cases() -> list[str]:
    """All policies, with parameters, that have a twin."""
    return [case for name in _MODULES for case in getattr(_module(name), "CASES", [name])]


def make_twin(
    text: str,
    ids: Any,
    capacity: int,
    *,
    sizes: Any = None,
    costs: Any = None,
    times: Any = None,
    ttls: Any = None,
    seed: int = 0,
) -> Any:
    """The twin of the policy written `text`, its cache empty.

    A twin's constructor gets `capacity` and, by name: n_objects, sizes (list, or None = every object counts 1), costs
    (list or None), seed, next_use (list, n = never; or what is predicted), and the policy's parameters. Admission rules
    get the twin behind them as `inner`, combiners the two as `first` and `second`.
    """
    policy = parse_policy(text)
    ids = [int(obj) for obj in ids]
    given = {
        "n_objects": max(ids) + 1,
        "sizes": None if sizes is None else [int(size) for size in sizes],
        "costs": None if costs is None else [float(np.float32(cost)) for cost in costs],
        "times": times,
        "ttls": ttls,
        "next_use": [next((j for j in range(i + 1, len(ids)) if ids[j] == obj), len(ids)) for i, obj in enumerate(ids)],
    }
    if isinstance(policy, Predicted):
        trace = RequestTrace(np.asarray(ids, np.int32), given["n_objects"])
        given |= {kind: policy.predictor.forecast(kind, trace, capacity, seed).tolist() for kind in policy.kinds}
        policy = policy.inner
    return _twin(policy, capacity, given, seed)


def _twin(policy: Policy, capacity: int, given: dict[str, Any], seed: int) -> Any:
    parts: dict[str, Any] = {}
    if isinstance(policy, Admitted):
        parts = {"inner": _twin(policy.inner, capacity, given, seed)}
        policy = policy.rule
    elif isinstance(policy, Combined):
        parts = {
            "first": _twin(policy.first, capacity, given, part_seed(seed, 1)),
            "second": _twin(policy.second, capacity, given, part_seed(seed, 2)),
        }
        policy, seed = policy.combiner, part_seed(seed, 0)
    return _module(policy.spec.name).Naive(capacity, seed=seed, **given, **parts, **policy.parameters())


def _module(name: str) -> Any:
    return importlib.import_module(f"naive.{name}")
