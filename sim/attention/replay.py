"""Replay recorded attention against a KV policy: true queries, the policy's cache, and what that costs.

Fidelity: with the recorded keys and queries the output error of one layer is exact (L1). What the policy decides is what it
would decide in the model (L0) at the end of the prompt in every layer, and later in layer 0 only: in a model, other layers
would see inputs that earlier evictions changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...policies.kv.protect import Protect
from ...policies.kv.registry import KVPolicy, parse_kv_policy
from ...policies.kv.setting import Rotary, Setting
from ...traces.attention import AttentionRequest, AttentionTrace
from ...traces.attention.layer import LayerTensors
from ...traces.attention.verify import TOLERANCES
from ...traces.errors import CapabilityError, TraceError, UsageError
from .budget import Budget
from .engine import Engine
from .metrics import Meter
from .prompts import LayerPrompt
from .reference import Reference, full_attention, reference_of
from .result import AttentionRun

__all__ = ["Prepared", "prepare", "replay_attention"]

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, repr=False)
class Prepared:
    """One request of a trace, converted and with its full attention computed: shared by all policies.

    Attributes
    ----------
    trace : AttentionTrace
    request : AttentionRequest
    q : list of float[heads, queries, head_dim]
        Of each layer, as recorded.
    k, v : list of float[kv_heads, tokens, head_dim]
    wo : list of float[heads * head_dim, d_model] or None
    references : list of Reference
    dtype : dtype
    """

    trace: AttentionTrace
    request: AttentionRequest
    q: list[Floats]
    k: list[Floats]
    v: list[Floats]
    wo: list[Floats | None]
    references: list[Reference]
    dtype: np.dtype[Any]
    _kept: dict[int, Floats] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return f"Prepared({self.trace.name}, request={self.request.id}, layers={self.layers}, {self.dtype})"

    @property
    def layers(self) -> int:
        """Recorded layers."""
        return len(self.k)

    def prompts(self) -> list[list[LayerPrompt]]:
        """The prompt as the engine takes it in."""
        n, manifest = self.request.n_prompt, self.trace.manifest
        decode = self.request.n_decode
        made = []
        for layer, info in enumerate(manifest.layers):
            held = self.request.layers[layer].columns
            made.append(
                [
                    LayerPrompt(
                        q=self.q[layer][:, : self.q[layer].shape[1] - decode],
                        k=self.k[layer][:, :n],
                        v=self.v[layer][:, :n],
                        rotary=Rotary(info.rope_theta, info.rotary_dim, info.pairing),
                        scale=manifest.scale,
                        columns=None if held is None else np.asarray(held, self.dtype),
                        wo=self.wo[layer],
                        tokens=self.request.token_ids[:n],
                        window=info.window,
                    )
                ]
            )
        return made

    def future(self, layer: int, sequence: int) -> Callable[[], Floats]:
        """Full attention of every decoding step of a layer: [heads, steps, tokens]."""
        return lambda: self.full_attention(layer)

    def full_attention(self, layer: int) -> Floats:
        """Weights of every decoding step of a layer, kept once computed: [heads, steps, tokens]."""
        if layer not in self._kept:
            decode, info = self.request.n_decode, self.trace.manifest.layers[layer]
            q = self.q[layer][:, self.q[layer].shape[1] - decode :]
            self._kept[layer], _ = full_attention(
                q, self.k[layer], self.request.n_prompt, self.trace.manifest.scale, info.window
            )
        return self._kept[layer]


def prepare(trace: AttentionTrace, request: int = 0, *, dtype: npt.DTypeLike = np.float32, top: int = 16) -> Prepared:
    """Convert one request and run full attention over it.

    Parameters
    ----------
    trace : AttentionTrace
    request : int
    dtype : dtype
        float32, or float64 for exact comparisons.
    top : int
        How many of each query's largest keys recall is about.

    Raises
    ------
    CapabilityError
        The model caps its logits, which the engine does not.
    UsageError
        There is no such request, or nothing was decoded.
    TraceError
        The stored log-sum-exp is not that of the queries and keys.
    """
    if trace.manifest.softcap is not None:
        raise CapabilityError(
            f"{trace.name}: the model caps its logits (softcap), which the attention engine does not do"
        )
    if not 0 <= request < len(trace.requests):
        raise UsageError(f"{trace.name} has {len(trace.requests)} requests, numbered from 0; there is none {request}")
    one = trace.requests[request]
    if one.n_decode < 1:
        raise UsageError(f"{trace.name}, request {one.id}: it decodes nothing, so there is nothing to replay")
    kind = np.dtype(dtype)
    q = [layer.q32().astype(kind, copy=False) for layer in one.layers]
    k = [layer.k32().astype(kind, copy=False) for layer in one.layers]
    v = [layer.v32().astype(kind, copy=False) for layer in one.layers]
    wo = [None if (held := trace.wo(i)) is None else held.astype(kind, copy=False) for i in range(len(k))]
    references = [
        reference_of(
            q[i][:, q[i].shape[1] - one.n_decode :],
            k[i],
            v[i],
            one.n_prompt,
            trace.manifest.scale,
            window=info.window,
            wo=wo[i],
            top=top,
        )
        for i, info in enumerate(trace.manifest.layers)
    ]
    for layer, reference, info in zip(one.layers, references, trace.manifest.layers, strict=True):
        _check_recorded(trace, layer, reference, info.index)
    return Prepared(trace, one, q, k, v, wo, references, kind)


def _check_recorded(trace: AttentionTrace, layer: LayerTensors, reference: Reference, index: int) -> None:
    """Refuse a trace whose stored log-sum-exp is not that of its queries and keys."""
    if layer.lse is None:
        return
    stored = np.asarray(layer.lse)[:, layer.lse.shape[1] - len(reference.lse) :].T
    off, tolerance = float(np.abs(reference.lse - stored).max()), TOLERANCES[trace.manifest.dtype]
    if off > tolerance:
        raise TraceError(
            f"{trace.name}, layer {index}: attention computed from its queries and keys is not what the model had: the "
            f"log-sum-exp is off by {off:.3g} nats (at most {tolerance:g}). See: evictlab attention info {trace.path or ''}"
        )


def replay_attention(
    trace: AttentionTrace | Prepared,
    policy: str | KVPolicy,
    budget: str | int | Budget,
    *,
    protect: str | Protect = "none",
    seed: int = 0,
    request: int = 0,
    record: bool = True,
) -> AttentionRun:
    """Replay one request against one policy.

    Parameters
    ----------
    trace : AttentionTrace or Prepared
        Prepare it once where several policies are replayed.
    policy : str or KVPolicy
        For example ``"snapkv:window=16"``.
    budget : str, int or Budget
        Slots for each KV head: ``"64"``, or a share of the prompt, ``"10%"``.
    protect : str or Protect
        For example ``"sink=4,recent=16"``.
    seed : int
    request : int
    record : bool
        Whether to keep the action log.

    Raises
    ------
    UsageError
        The budget is below what is protected.
    CapabilityError
        The policy needs what the trace does not hold.
    """
    ready = trace if isinstance(trace, Prepared) else prepare(trace, request)
    chosen = parse_kv_policy(policy)
    wanted = budget if isinstance(budget, Budget) else Budget.parse(str(budget))
    manifest, one = ready.trace.manifest, ready.request
    setting = Setting(
        layers=ready.layers,
        sequences=1,
        heads=manifest.heads,
        kv_heads=manifest.kv_heads,
        head_dim=manifest.head_dim,
        prompt=one.n_prompt,
        capacity=one.n_prompt + one.n_decode,
        budget=wanted.slots(one.n_prompt),
        protect=protect if isinstance(protect, Protect) else Protect.parse(protect),
        seed=seed,
        scale=manifest.scale,
        rotary=tuple(Rotary(info.rope_theta, info.rotary_dim, info.pairing) for info in manifest.layers),
        indices=tuple(info.index for info in manifest.layers),
    )
    engine = Engine(
        chosen,
        setting,
        windows=[info.window for info in manifest.layers],
        dtype=ready.dtype,
        element_bytes=manifest.item_bytes,
        wo=ready.wo,
        future=ready.future if chosen.needs().future or chosen.needs().full_weights else None,
        record=record,
    )
    meter = Meter(
        ready.references, manifest.heads, ready.wo, engine.slots, setting.rows(chosen.gqa), ready.full_attention
    )
    engine.watch = meter
    engine.prompt(ready.prompts())
    recorded = [of_layer.shape[1] - one.n_decode for of_layer in ready.q]
    for step in range(one.n_decode):
        position = one.n_prompt + step
        engine.step(
            position,
            np.stack([of_layer[:, first + step] for of_layer, first in zip(ready.q, recorded, strict=True)])[:, None],
            np.stack([of_layer[:, position] for of_layer in ready.k])[:, None],
            np.stack([of_layer[:, position] for of_layer in ready.v])[:, None],
            tokens=one.token_ids[position : position + 1],
        )
    return AttentionRun.collect(ready.trace, one, chosen, wanted, setting, engine, meter)
