"""Measure of a model what CompressKV wants to know beforehand: the heads that find things, and what eviction costs a layer.

Both come from a recorded text with a known answer: somewhere in the prompt stands a needle, and what is decoded repeats it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...policies.kv.calibration import Calibration
from ...policies.kv.protect import Protect
from ...policies.kv.registry import KVPolicy, parse_kv_policy
from ...traces.attention import AttentionTrace
from ...traces.errors import UsageError
from .replay import Prepared, prepare, replay_attention

__all__ = ["answering_steps", "calibrate", "layer_errors", "needle_mass"]


def calibrate(
    trace: AttentionTrace | Prepared,
    needle: tuple[int, int],
    *,
    request: int = 0,
    steps: Sequence[int] | None = None,
    policy: str | KVPolicy = "compresskv",
    budget: str = "10%",
    protect: str | Protect = "none",
) -> Calibration:
    """Measure heads and layers on one recorded text.

    Parameters
    ----------
    trace : AttentionTrace or Prepared
    needle : (int, int)
        First position of the needle, and the one after its last.
    request : int
    steps : sequence of int, optional
        Decoding steps at which heads are judged; by default `answering_steps`.
    policy, budget, protect
        Under which the layers' errors are measured.

    Returns
    -------
    Calibration
        All query heads of each layer, the best first.

    Raises
    ------
    UsageError
        The needle lies outside the prompt, or no step answers.

    References
    ----------
    CompressKV, arXiv:2508.02401. The authors average over many texts and keep those that were answered rightly; average the
    results of `needle_mass` and `layer_errors` over requests for that.
    """
    ready = trace if isinstance(trace, Prepared) else prepare(trace, request)
    chosen = parse_kv_policy(policy)
    judged = answering_steps(ready, needle) if steps is None else tuple(steps)
    mass = needle_mass(ready, needle, judged)
    errors = layer_errors(ready, chosen, budget, protect)
    return Calibration(
        model=ready.trace.manifest.model,
        layers=tuple(info.index for info in ready.trace.manifest.layers),
        heads=tuple(tuple(int(head) for head in np.argsort(-of_layer, kind="stable")) for of_layer in mass),
        errors=tuple(float(error) for error in errors / errors.sum()) if errors.sum() > 0 else (0.0,) * len(errors),
        about={
            "trace": ready.trace.name,
            "request": str(ready.request.id),
            "needle": list(needle),
            "steps": [int(step) for step in judged],
            "policy": chosen.label,
            "budget": budget,
            "protect": str(protect),
        },
    )


def answering_steps(ready: Prepared, needle: tuple[int, int]) -> tuple[int, ...]:
    """The decoding steps whose next token is one of the needle's.

    Raises
    ------
    UsageError
        There are none, or the needle lies outside the prompt.
    """
    first, last = _inside(ready, needle)
    tokens, n = ready.request.token_ids, ready.request.n_prompt
    said = {int(token) for token in tokens[first:last]}
    found = tuple(step for step in range(ready.request.n_decode - 1) if int(tokens[n + step + 1]) in said)
    if not found:
        raise UsageError(
            f"no decoded token of {ready.trace.name} is among those at {first}..{last - 1}: nothing there is repeated; "
            "name the steps that answer (steps=...), or another span"
        )
    return found


def needle_mass(ready: Prepared, needle: tuple[int, int], steps: Sequence[int]) -> npt.NDArray[np.float64]:
    """Mean attention that each query head gives to the whole needle: float64[layers, heads]."""
    first, last = _inside(ready, needle)
    return np.stack(
        [
            ready.future(layer, 0)()[:, list(steps), first:last].sum(-1, dtype=np.float64).mean(1)
            for layer in range(ready.layers)
        ]
    )


def layer_errors(
    ready: Prepared, policy: str | KVPolicy, budget: str, protect: str | Protect = "none"
) -> npt.NDArray[np.float64]:
    """How far each layer's attention output moves: Frobenius norm of the change against that of the output, float64[layers].

    Over all heads and decoding steps.
    """
    run = replay_attention(ready, policy, budget, protect=protect, record=False)
    size = np.stack([np.linalg.norm(reference.out, axis=-1) for reference in ready.references], axis=1)
    change = run.error * size  # of each step, layer and head
    whole = (size.astype(np.float64) ** 2).sum((0, 2))
    return np.asarray(np.sqrt((change**2).sum((0, 2)) / np.maximum(whole, 1e-30)))


def _inside(ready: Prepared, needle: tuple[int, int]) -> tuple[int, int]:
    first, last = needle
    if not 0 <= first < last <= ready.request.n_prompt:
        raise UsageError(
            f"the needle at {first}..{last} does not lie in the prompt of {ready.request.n_prompt} tokens: give its first "
            "position and the one after its last"
        )
    return first, last
