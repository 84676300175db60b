"""Naive twins: each policy once more, in a few lines of plain Python over lists and dicts.

A twin has `resident(obj)` and `request(obj, size, now)` (False = refused to admit). Its module is named after the policy
and may list several parameter sets to be tried in `CASES`; the default is the policy as it comes.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from evictlab.policies import parse_policy
from evictlab.policies.predictors import parse_predictor
from evictlab.traces.request import RequestTrace

_MODULES = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def cases() -> list[str]:
    """All policies, with parameters, that have a twin."""
    return [case for name in _MODULES for case in getattr(_module(name), "CASES", [name])]


def make_twin(text: str, ids: Any, capacity: int, *, sizes: Any = None, costs: Any = None, seed: int = 0) -> Any:
    """The twin of the policy written `text`, its cache empty.

    A twin's constructor gets `capacity` and, by name: n_objects, sizes (list, or None = every object counts 1), costs
    (list or None), seed, next_use (list, n = never), and the policy's parameters.
    """
    text, _, predictor = text.partition("@")
    rule, plus, inner = text.partition("+")
    ids = [int(obj) for obj in ids]
    given = {
        "n_objects": max(ids) + 1,
        "sizes": None if sizes is None else [int(size) for size in sizes],
        "costs": None if costs is None else [float(np.float32(cost)) for cost in costs],
        "seed": seed,
        "next_use": [next((j for j in range(i + 1, len(ids)) if ids[j] == obj), len(ids)) for i, obj in enumerate(ids)],
    }
    if predictor:
        kinds = parse_policy(text).predictions
        trace = RequestTrace(np.asarray(ids, np.int32), given["n_objects"])
        given |= {kind: parse_predictor(predictor).forecast(kind, trace, capacity, seed).tolist() for kind in kinds}
    if plus:
        given["inner"] = make_twin(inner, ids, capacity, sizes=sizes, costs=costs, seed=seed)
    policy = parse_policy(rule)
    return _module(policy.spec.name).Naive(capacity, **given, **policy.parameters())


def _module(name: str) -> Any:
    return importlib.import_module(f"naive.{name}")
