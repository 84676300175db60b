"""Cold-RL over Python lists and dicts; what the network says is asked of onnxruntime."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np

from evictlab.policies import parse_policy
from evictlab.policies.learned.network import make_network

from naive._stream import Stream

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before anything imports onnxruntime

SHAPES = {
    "set": {"centre": (14,), "scale": (14,), "each": (12, 4), "pool": (6, 4), "again": (4, 4), "shared": (4, 4)}
    | {"rate": (4, 1), "state": (4, 1)},
    "flat": {"centre": (11,), "scale": (11,), "first": (33, 16), "first_norm": (2, 16), "second": (16, 16)}
    | {"second_norm": (2, 16), "state_hidden": (16, 8), "state_norm": (2, 8), "state": (8, 1)}
    | {"gain_hidden": (16, 8), "gain_norm": (2, 8), "gain": (8, 3)},
}
"""Of small networks: weights have a row per input and a bias per output, unless they stand for themselves."""


SEEDS = {"set": 8, "flat": 10}
"""With these, residents leave and newcomers are refused; most other networks always do the same."""


def small_weights(kind):
    """Weights of a network that knows nothing but has opinions."""
    rng = np.random.default_rng(SEEDS[kind])
    weights = {}
    for name, shape in SHAPES[kind].items():
        values = rng.normal(0, 0.5, shape).astype(np.float32)
        if name in ("centre", "scale") or name.endswith("_norm"):
            weights[name] = values + 1
            continue
        weights[f"{name}_w"] = values
        if name != "shared":
            weights[f"{name}_b"] = rng.normal(0, 0.1, shape[1:]).astype(np.float32)
    return weights


def small_model(folder, kind="set", *, k=3, tail=1):
    """Write a model whose decisions leave most residents out, so that candidates are drawn; return its folder."""
    from evictlab.rl.learn.graph import onnx_model

    content = onnx_model(kind, small_weights(kind), k)
    policy = parse_policy("cold_rl")
    about = json.loads((policy.folder / "metadata.json").read_text())
    about |= {"k": k, "tail": tail, "network": kind, "trained": {}, "model_sha256": hashlib.sha256(content).hexdigest()}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (("model.onnx", content), ("metadata.json", json.dumps(about).encode())):
        part = folder / f"{name}.{os.getpid()}"
        part.write_bytes(data)
        part.replace(folder / name)
    make_network(kind, small_weights(kind), k)  # the shapes fit
    return folder


_KEPT = Path(__file__).parents[2] / ".cache" / "small-models"
"""In a place that is always the same: it is part of the names of tests."""

CASES = [f"cold_rl:{small_model(_KEPT / kind, kind)}" for kind in SHAPES]
"""Not the model that comes with the package: far from what it was trained on all rates are alike, and ties are rounding."""


@functools.cache
def _session(folder):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])


class Naive:
    def __init__(self, capacity, model, seed, costs, sizes=None, times=None, ttls=None, **_):
        folder = parse_policy(f"cold_rl:{model}").folder
        about = json.loads((folder / "metadata.json").read_text())
        self.k, self.tail, self.network = about["k"], about["tail"], _session(folder)
        self.c, self.stream, self.costs, self.times, self.ttls = capacity, Stream(seed), costs, times, ttls
        self.members, self.queue, self.size = [], [], {}
        self.asked = {}  # object -> [(second, request number)]; evictions do not touch it
        self.fetched, self.hits, self.expires, self.origin = {}, {}, {}, {}
        self.clock = []

    def resident(self, obj):
        return obj in self.size

    def second(self, now):
        return float(now if self.times is None else self.times[now])

    def fetch(self, obj, now):
        self.fetched[obj] = self.second(now)
        ttl = math.inf if self.ttls is None else float(np.float32(self.ttls[now]))
        self.expires[obj] = self.second(now) + ttl
        self.origin[obj] = -1.0 if self.costs is None else self.costs[now]

    def request(self, obj, size, now):
        self.clock.append(self.second(now))
        self.asked.setdefault(obj, []).append((self.second(now), len(self.clock)))
        if obj in self.size:
            self.queue.remove(obj)
            self.queue.append(obj)
            if self.expires[obj] <= self.second(now):
                self.fetch(obj, now)
            else:
                self.hits[obj] += 1
            return True
        self.hits[obj] = 0
        self.fetch(obj, now)
        while sum(self.size.values()) + size > self.c:
            if self.evict(obj, size, now) == obj:
                return False
        self.members.append(obj)
        self.queue.append(obj)
        self.size[obj] = size
        return True

    def candidates(self, newcomer):
        if len(self.queue) < self.k:
            return [*self.queue, newcomer]
        chosen = [*self.queue[: min(self.tail, self.k - 1)], newcomer]
        for _ in range(4 * self.k):
            if len(chosen) < self.k:
                obj = self.members[self.stream.below(len(self.members))]
                chosen += [obj] if obj not in chosen else []
        return chosen

    def row(self, obj, size, now):
        t, asked = self.second(now), self.asked[obj]
        counts = [sum(0.5 ** ((len(self.clock) - n) / half) for _, n in asked) for half in (256, 4096)]
        return [
            t - self.fetched[obj],
            self.size.get(obj, size),
            self.hits[obj],
            asked[-1][0] - asked[-2][0] if len(asked) > 1 else -1,
            max(self.expires[obj] - t, 0) if self.expires[obj] < math.inf else -1,
            self.origin[obj],
            t - asked[-1][0],
            len(asked),
            t - asked[0][0],
            *counts,
        ]

    def evict(self, newcomer, size, now):
        chosen = self.candidates(newcomer)
        rows = np.full((1, self.k, 11), -1, np.float32)
        rows[0, : len(chosen)] = [self.row(obj, size, now) for obj in chosen]
        pace = np.diff(self.clock).mean() if len(self.clock) > 1 else 0.0
        context = np.array([[pace, self.c, len(self.queue), 0]], np.float32)
        q = self.network.run(["q"], {"candidates": rows, "context": context})[0][0]
        # Equals are worth the same, wherever the matrix product has put them.
        first = [next(j for j in range(i + 1) if (rows[0, j] == rows[0, i]).all()) for i in range(len(chosen))]
        victim = chosen[max(first, key=lambda i: (q[i], -i))]
        if victim != newcomer:
            place = self.members.index(victim)
            self.members[place] = self.members[-1]
            self.members.pop()
            self.queue.remove(victim)
            del self.size[victim]
        return victim
