"""A whole model with the engine in its loop (L2): what eviction does to predictions, and where it leaves the open loop.

A replay of recorded attention (open loop) lets every layer see what it saw without eviction. Here each layer's output is what
its compressed cache gives, so that later layers, and the keys that they append, change with it. The text is teacher-forced:
both loops read the same tokens. The prompt is read uncompressed, so that what is decided at its end is the same in both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from ....policies.kv.registry import KVPolicy, parse_kv_policy
from ....traces.attention import AttentionTrace
from ....traces.attention.weights import OutputProjection
from ....traces.errors import CapabilityError, UsageError
from ...attention.engine import Attended, Engine
from ...attention.replay import Prepared, prepare, replay_attention
from .seen import Seen, watched

if TYPE_CHECKING:
    from ....policies.kv.protect import Protect
    from ....traces.record.attention.forward import Model

__all__ = ["ClosedLoop", "Text", "read_text", "run_closed_loop"]


@dataclass(frozen=True)
class Text:
    """A text that the model has read without eviction; shared by all policies.

    Attributes
    ----------
    model : Model
    token_ids : list of int
    ready : Prepared
        Queries, keys and values of all layers.
    logits : Tensor [tokens, vocab]
    """

    model: Model
    token_ids: list[int]
    ready: Prepared
    logits: torch.Tensor


@dataclass(frozen=True)
class ClosedLoop:
    """One policy in the loop, beside the same model without eviction.

    Attributes
    ----------
    policy, budget, protect : str
    nll, full_nll : float64[steps - 1]
        Negative log-likelihood, in nats, of the token that follows each decoded one.
    agree : bool[steps]
        Whether the most likely next token is the one without eviction.
    jaccard : float64[steps, layers]
        Slots that both loops' queries read, over those that either read; mean over streams.
    parted : int32[layers]
        First step at which a stream of the layer reads another set than in the open loop; -1: never.
    error, open_error : float64[steps, layers]
        Relative change of a layer's attention output against the same model without eviction, mean over heads: with all
        that layers before it have lost, and (open loop) by its own cache alone.
    """

    policy: str
    budget: str
    protect: str
    nll: npt.NDArray[np.float64]
    full_nll: npt.NDArray[np.float64]
    agree: npt.NDArray[np.bool_]
    jaccard: npt.NDArray[np.float64]
    parted: npt.NDArray[np.int32]
    error: npt.NDArray[np.float64]
    open_error: npt.NDArray[np.float64]

    def row(self) -> dict[str, Any]:
        """One row of a table: means, and by layer and step for those who look closer."""
        return {
            "policy": self.policy,
            "budget": self.budget,
            "protect": self.protect,
            "nll": float(self.nll.mean()),
            "full_nll": float(self.full_nll.mean()),
            "top1_agreement": float(self.agree.mean()),
            "jaccard": float(self.jaccard.mean()),
            "jaccard_first_layer": float(self.jaccard[:, 0].mean()),
            "jaccard_worst_layer": float(self.jaccard.mean(0).min()),
            "jaccard_by_layer": self.jaccard.mean(0).round(4).tolist(),
            "jaccard_by_step": self.jaccard.mean(1).round(4).tolist(),
            "parted_at_step": self.parted.tolist(),
            "output_error": float(self.error.mean()),
            "open_output_error": float(self.open_error.mean()),
            "output_error_by_layer": self.error.mean(0).round(5).tolist(),
            "open_output_error_by_layer": self.open_error.mean(0).round(5).tolist(),
        }

    def __repr__(self) -> str:
        return (
            f"ClosedLoop({self.policy}, budget={self.budget}, nll={self.nll.mean():.3f} "
            f"(full {self.full_nll.mean():.3f}), jaccard={self.jaccard.mean():.3f})"
        )


def read_text(model: Model, token_ids: Any, prompt: int) -> Text:
    """Let a model read a text once, without eviction.

    Parameters
    ----------
    model : Model
        See `evictlab.traces.record.attention.load_model`.
    token_ids : sequence of int
    prompt : int
        How many of them are the prompt.

    Raises
    ------
    UsageError
        Fewer than two tokens are left to decode.
    """
    tokens = [int(token) for token in token_ids]
    if not 0 < prompt < len(tokens) - 1:
        raise UsageError(
            f"a prompt of {prompt} tokens leaves {len(tokens) - prompt} of {len(tokens)} to decode; at least 2"
        )
    config, seen = model.config, {}

    def tap(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, x: torch.Tensor) -> None:
        seen[layer] = (q.numpy(), k.numpy(), v.numpy())

    logits = model.forward(tokens, tap)
    queries, keys, values = (np.stack([seen[layer.index][part] for layer in config.layers]) for part in range(3))
    projections = [
        OutputProjection(matrix, name).float32()
        for layer in config.layers
        for name, matrix in model.projection(layer.index).items()
    ]
    trace = AttentionTrace.from_arrays(
        keys,
        values,
        queries,
        prompt,
        token_ids=tokens,
        layers=config.layers,
        scale=config.scale,
        wo=np.stack(projections) if projections else None,
        d_model=config.d_model,
        name=config.name,
    )
    return Text(model, tokens, prepare(trace), logits)


def run_closed_loop(
    text: Text,
    policy: str | KVPolicy,
    budget: str | int,
    protect: str | Protect = "none",
    *,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> ClosedLoop:
    """Decode a text with a policy's cache in every layer of the model.

    Parameters
    ----------
    text : Text
    policy, budget, protect, seed
        As in `replay_attention`.
    progress : callable (int), optional
        Told of each step.

    Raises
    ------
    CapabilityError
        The policy asks for the uncompressed cache or the future, which a model that evicts has not.
    """
    chosen, ready, model = parse_kv_policy(policy), text.ready, text.model
    needs = chosen.needs()
    if needs.future or needs.full_weights:
        raise CapabilityError(f"{chosen.label} asks for the uncompressed cache: it can run on a trace, not in a model")
    there: Seen = []
    opened = replay_attention(ready, watched(chosen, there), str(budget), protect=protect, seed=seed)
    setting, layers = opened.setting, ready.trace.manifest.layers
    prompt, steps = setting.prompt, setting.capacity - setting.prompt
    here: Seen = []
    engine = Engine(
        watched(chosen, here),
        setting,
        windows=[info.window for info in layers],
        dtype=ready.dtype,
        wo=ready.wo,
        record=False,
    )
    error = np.zeros((steps, len(layers)))

    def measure(seen: Attended) -> None:
        layer = seen.streams.start // setting.rows(chosen.gqa)
        full, out = ready.references[layer].out[seen.step], seen.out.reshape(setting.heads, -1)
        away = np.linalg.norm(out - full, axis=1) / np.maximum(np.linalg.norm(full, axis=1), 1e-30)
        error[seen.step, layer] = away.mean()

    engine.watch = measure
    engine.prompt(ready.prompts())
    place = {info.index: number for number, info in enumerate(layers)}

    def attend(index: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, position: int) -> torch.Tensor:
        layer = place[index]
        queries, keys, values = (part.numpy().astype(ready.dtype, copy=False)[None, None] for part in (q, k, v))
        tokens = np.array(text.token_ids[position : position + 1], np.int32)
        out = engine.step(position, queries, keys, values, layers=slice(layer, layer + 1), tokens=tokens)
        return torch.from_numpy(out.reshape(-1)).to(q.dtype)

    nll, agree = np.zeros(steps), np.zeros(steps, bool)
    for step in range(steps):
        position = prompt + step
        logits = model.step(text.token_ids[position], position, attend)
        agree[step] = int(logits.argmax()) == int(text.logits[position].argmax())
        if step < steps - 1:
            nll[step] = _nll(logits, text.token_ids[position + 1])
        if progress is not None:
            progress(1)
    full = [_nll(text.logits[prompt + step], text.token_ids[prompt + step + 1]) for step in range(steps - 1)]
    jaccard, parted = _overlap(there, here, len(layers))
    return ClosedLoop(
        opened.policy,
        opened.budget,
        opened.protect,
        nll[: steps - 1],
        np.array(full),
        agree,
        jaccard,
        parted,
        error,
        opened.error.mean(2),
    )


def _nll(logits: torch.Tensor, token: int) -> float:
    return float(logits.logsumexp(0) - logits[token])


def _overlap(there: Seen, here: Seen, layers: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    """Jaccard similarity of the sets that queries read, [steps, layers], and the first step at which one differs, [layers]."""
    found, parted = np.zeros((len(there), layers)), np.full(layers, -1, np.int32)
    for step, (ours, theirs) in enumerate(zip(there, here, strict=True)):
        rows = len(ours) // layers
        for layer in range(layers):
            shares = []
            for row in range(layer * rows, (layer + 1) * rows):
                a, b = set(ours[row].tolist()) - {-1}, set(theirs[row].tolist()) - {-1}
                shares.append(len(a & b) / len(a | b))
            found[step, layer] = np.mean(shares)
            if min(shares) < 1 and parted[layer] < 0:
                parted[layer] = step
    return found, parted
