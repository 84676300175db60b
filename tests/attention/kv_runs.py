"""Runs of the attention engine for tests: any policy on small random texts, with everything that was seen kept."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evictlab.policies.kv import (
    KVPolicy,
    Needs,
    Prompt,
    Protect,
    Rotary,
    Select,
    Session,
    Setting,
    Step,
    kv_policy_names,
    kv_spec,
    parse_kv_policy,
)
from evictlab.policies.kv.actions import Action
from evictlab.sim.attention import Engine, prepare
from evictlab.sim.attention.engine import Attended
from evictlab.sim.attention.replay import Prepared
from evictlab.traces.attention import random_attention

PROMPT, DECODE = 100, 12
SHAPE: dict[str, Any] = {"layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 32, "prompt": PROMPT, "decode": DECODE}
PROTECT = Protect(sink=3, boundary=2, recent=4)

TOKEN_POLICIES = ["lru", "s3fifo"]
"""Cache policies of the web, applied to tokens."""


@dataclass(frozen=True)
class Scripted(KVPolicy):
    """A policy that does what a test tells it, with a spec as if it were an honest window.

    Attributes
    ----------
    declared : Needs
    at_prompt, at_step : callable (view) -> list of actions, or None
    at_select : callable (step) -> Select, or None
    """

    spec = dataclasses.replace(kv_spec("window"), name="scripted")
    declared: Needs = field(default_factory=Needs)
    at_prompt: Any = None
    at_step: Any = None
    at_select: Any = None

    def needs(self) -> Needs:
        """Return what it pretends to read."""
        return self.declared

    @property
    def selects(self) -> bool:
        """Where told to."""
        return self.at_select is not None

    @property
    def label(self) -> str:
        """Its name: hooks cannot be written on a command line."""
        return self.spec.name

    def make(self, setting: Setting) -> Session:
        """Return a session."""
        return _Script(self)


class _Script(Session):
    def __init__(self, policy: Scripted) -> None:
        self.policy = policy

    def on_prompt(self, prompt: Prompt) -> list[Action]:
        return (self.policy.at_prompt(prompt) or []) if self.policy.at_prompt else []

    def on_step(self, step: Step) -> list[Action]:
        return (self.policy.at_step(step) or []) if self.policy.at_step else []

    def select(self, step: Step) -> Select:
        return self.policy.at_select(step)  # type: ignore[no-any-return]


def every_name() -> list[str]:
    """All registered KV policies, and two of those that are applied to tokens.

    Those that can keep a set for each query head, or score again while decoding, come a second time, doing so.
    """
    names = []
    for spec in map(kv_spec, kv_policy_names()):
        words = {item.name for item in dataclasses.fields(spec.params)}  # type: ignore[arg-type]
        needs = spec.params().needs()
        if needs.columns or needs.query_statistics:  # known of a prompt only
            words.discard("interval")
        variant = [word for word in ("gqa=none", "interval=3") if word.partition("=")[0] in words]
        names += [spec.name, *([":".join([spec.name, *variant])] if variant else [])]
    return [*names, *TOKEN_POLICIES]


def small(name: str) -> KVPolicy:
    """The policy with its defaults; a window that would fill the small prompt is made smaller."""
    policy = parse_kv_policy(name)
    if policy.forced > PROMPT // 4 and any(item.name == "window" for item in dataclasses.fields(policy)):  # type: ignore[arg-type]
        policy = dataclasses.replace(policy, window=8)  # type: ignore[type-var,call-arg]
    return policy


def texts(count: int = 1, **shape: Any) -> list[Prepared]:
    """Random texts of one shape, in float64, read by one model: they share its output projections."""
    made = [prepare(random_attention(seed, **{**SHAPE, **shape}), dtype=np.float64) for seed in range(count)]
    for one in made:
        one.wo[:] = made[0].wo
    return made


@dataclass
class Run:
    """A finished run.

    Attributes
    ----------
    engine : Engine
    outs : list of float[layers, sequences, heads, head_dim]
        Of each step.
    seen : list of Attended
    alive, members, log_mass : list of [streams, capacity]
        After the prompt, and after each step.
    """

    engine: Engine
    outs: list[Any] = field(default_factory=list)
    seen: list[Attended] = field(default_factory=list)
    alive: list[Any] = field(default_factory=list)
    members: list[Any] = field(default_factory=list)
    log_mass: list[Any] = field(default_factory=list)

    def look(self) -> None:
        """Note how things stand."""
        slots = self.engine.slots
        self.alive.append(slots.alive.copy())
        self.members.append(slots.members.copy())
        self.log_mass.append(slots.log_mass.copy())


def setting_of(batch: list[Prepared], budget: int, protect: Protect, seed: int) -> Setting:
    """The setting of a batch of texts."""
    trace, one = batch[0].trace.manifest, batch[0].request
    return Setting(
        layers=batch[0].layers,
        sequences=len(batch),
        heads=trace.heads,
        kv_heads=trace.kv_heads,
        head_dim=trace.head_dim,
        prompt=one.n_prompt,
        capacity=one.tokens,
        budget=budget,
        protect=protect,
        seed=seed,
        scale=trace.scale,
        rotary=tuple(Rotary(info.rope_theta, info.rotary_dim, info.pairing) for info in trace.layers),
        indices=tuple(info.index for info in trace.layers),
    )


def drive(
    policy: KVPolicy,
    batch: list[Prepared],
    budget: int,
    protect: Protect | None = None,
    *,
    seed: int = 0,
    layer_by_layer: bool = False,
) -> Run:
    """Replay a batch of texts of one shape, several sequences at a time."""
    setting = setting_of(batch, budget, protect or Protect(), seed)
    engine = Engine(
        policy,
        setting,
        windows=[info.window for info in batch[0].trace.manifest.layers],
        dtype=batch[0].dtype,
        wo=batch[0].wo,
        future=lambda layer, sequence: batch[sequence].future(layer, 0),
    )
    run = Run(engine)
    engine.watch = lambda seen: run.seen.append(
        dataclasses.replace(seen, ids=seen.ids.copy(), count=seen.count.copy(), weights=seen.weights.copy())
    )
    engine.prompt([[one.prompts()[layer][0] for one in batch] for layer in range(setting.layers)])
    run.look()
    chunks = [slice(i, i + 1) for i in range(setting.layers)] if layer_by_layer else [slice(0, setting.layers)]
    for step in range(setting.capacity - setting.prompt):
        at, outs = setting.prompt + step, []
        tokens = np.array([one.request.token_ids[at] for one in batch])
        for layers in chunks:
            q, k, v = (
                np.stack([[held[layer][:, place] for held in tables] for layer in range(setting.layers)[layers]])
                for tables, place in (
                    ([one.q for one in batch], at - setting.capacity),
                    ([one.k for one in batch], at),
                    ([one.v for one in batch], at),
                )
            )
            outs.append(engine.step(at, q, k, v, layers, tokens))
        run.outs.append(np.concatenate(outs))
        run.look()
    return run


def budget_for(policy: KVPolicy, protect: Protect = PROTECT) -> int:
    """A budget below the prompt that leaves the policy something to decide."""
    return max(protect.slots, policy.forced + protect.sink) + 24
