"""Every policy, for tests that judge them all: the registered ones, a plug-in, an object with methods, compositions."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

from evictlab.policies import Policy, all_specs, parse_policy, registry

from interpreted import run_policy

__all__ = [
    "BLIND_TO_NAMES",
    "EVERY",
    "PLUG_IN",
    "REGISTERED",
    "RULES",
    "N",
    "ObjectPolicy",
    "can",
    "is_random",
    "modes",
    "run",
    "short_trace",
]

REGISTERED = all_specs()
RULES = [spec.name for spec in REGISTERED if spec.admission]
PLUG_IN = '''
"""A plug-in: throw away the resident with the largest number."""
from dataclasses import dataclass
from typing import Any, NamedTuple
import numpy as np
from evictlab.policies import Policy, kernels, policy

class State(NamedTuple):
    resident: Any

@policy(title="Largest number", year=2026, source="https://example.org", name="plug_in_of_the_laws")
@dataclass(frozen=True)
class LargestNumber(Policy):
    """Throw away the resident with the largest number; no friend of renaming."""
    def make(self, setting):
        return State(np.zeros(setting.n_objects, np.uint8))

def find(state, obj):
    return state.resident[obj] != 0

def hit(state, obj, now, size):
    pass

def insert(state, obj, now, size):
    state.resident[obj] = 1

def evict(state, obj, now, size):
    victim = len(state.resident) - 1
    while state.resident[victim] == 0:
        victim -= 1
    state.resident[victim] = 0
    return victim

kernels(State, find, hit, insert, evict)
'''


class DictLru:
    """LRU as an object with methods, as one would sketch a policy in a notebook."""

    def __init__(self):
        self.order = OrderedDict()

    def find(self, obj):
        return obj in self.order

    def hit(self, obj, now, size):
        self.order.move_to_end(obj)

    def insert(self, obj, now, size):
        self.order[obj] = None

    def evict(self, obj, now, size):
        return self.order.popitem(last=False)[0]


class ObjectPolicy(Policy):
    """Hands out a `DictLru`; what it can do is what LRU can."""

    spec = registry.spec_of("lru")
    label = "object with methods"

    def make(self, setting):
        return DictLru()


def can(policy: Policy, capability: str) -> bool:
    return all(getattr(part.spec, capability) for part in policy.parts())


def is_random(policy: Policy) -> bool:
    return policy.random


def _written(spec: Any) -> str:
    """A policy as it has to be written to be replayed: combiners with two parts, predictive ones with a predictor."""
    text = f"{spec.name}+lru+mru" if spec.combines else spec.name
    return f"{text}@truth" if spec.predictions else text


EVICTING = [_written(spec) for spec in REGISTERED if not spec.admission] + ["plug-in", "object"]
EVERY = [
    *EVICTING,
    *(f"{rule}+lru" for rule in RULES),
    "tinylfu+slru",
    "prob:prob=0.3+sieve",
    "bloom+plug-in",
    "mark0:lazy=false@truth",
    "prob+flush_when_all_zeros@truth",
]
BLIND_TO_NAMES = [
    text for text in EVERY if text == "object" or not ("plug-in" in text or is_random(parse_policy(text)))
]
"""All but hashed sketches, random policies, and the plug-in, whose rule is about the numbers themselves."""

N = 14
"""Objects in the short traces."""


def short_trace(seed: int, n_requests: int = 160) -> dict[str, Any]:
    """Requests with everything that a trace can have; half of them prefer a few objects, some scan."""
    rng = np.random.default_rng(seed)
    ids = np.where(rng.random(n_requests) < 0.6, rng.integers(0, 5, n_requests), np.arange(n_requests) % N).astype(
        np.int32
    )
    ids[:N] = np.arange(N)
    return {
        "ids": ids,
        "sizes": rng.integers(1, 9, N)[ids].astype(np.int64),
        "times": np.cumsum(rng.integers(0, 3, n_requests)).astype(np.float64),
        "ttls": np.array([3.0, 40.0, np.inf], np.float32)[ids % 3],
        "costs": (1.0 + ids % 4).astype(np.float32),
    }


def run(policy: Policy, trace: dict[str, Any], capacity: int, with_sizes: bool, seed: int = 0) -> list[int]:
    """Outcomes of the interpreted replay: of objects, or of bytes with costs and (where possible) lifetimes."""
    if not with_sizes:
        return run_policy(policy, trace["ids"], capacity, times=trace["times"], seed=seed)[0]
    ttls = trace["ttls"] if can(policy, "ttl") else None
    return run_policy(policy, trace["ids"], capacity, trace["sizes"], trace["times"], ttls, trace["costs"], seed)[0]


def modes(policy: Policy) -> list[bool]:
    """Without and with sizes, where the policy takes them; that others refuse is a law of its own."""
    return [False, True] if can(policy, "sizes") else [False]
