"""What a policy is shown of a decoding step: each part is computed when it is asked for, and once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...policies.kv.context import FutureError, Step
from ...traces.errors import CapabilityError
from .prompts import projected_norms, softmax

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["step_view"]

Floats = npt.NDArray[np.floating]


def step_view(
    engine: Engine,
    number: int,
    newest: int,
    block: slice,
    ids: npt.NDArray[np.int32],
    count: npt.NDArray[np.int32],
    attended: list[Floats],
) -> Step:
    """Make the view of a step.

    Parameters
    ----------
    engine : Engine
    number, newest : int
        Number of the decoding step, and position of its token.
    block : slice
        Streams.
    ids : int32[streams, slots]
    count : int32[streams]
    attended : list
        Empty until the queries have attended, then their weights: float[streams, group, slots].
    """
    setting, slots, recent = engine.setting, engine.slots, engine.recent
    rows = np.arange(block.start, block.stop)[:, None]

    @cache
    def keys() -> Floats:
        return _gathered(slots.keys, rows, ids)

    @cache
    def values() -> Floats:
        return _gathered(slots.values, rows, ids)

    def last(window: int) -> Floats:
        if window > recent.kept:
            raise CapabilityError(
                f"{engine.policy.label} asks {window} queries again and keeps {recent.kept}; let kept_queries say so"
            )
        return recent.last(block, window)

    @cache
    def weights_of_last(window: int) -> Floats:
        logits = last(window) @ keys().swapaxes(1, 2)[:, None]
        logits *= slots.keys.dtype.type(setting.scale)
        if slots.merged:
            logits += slots.log_mass[rows, np.maximum(ids, 0)][:, None, None, :]
        asked = np.arange(newest - window + 1, newest + 1)
        logits[np.broadcast_to((ids < 0)[:, None, None, :], logits.shape)] = -np.inf
        unseen = ids[:, None, :] > asked[None, :, None]
        logits[np.broadcast_to(unseen[:, None], logits.shape)] = -np.inf
        return softmax(logits)

    def layer_sources(part: slice, layer: int, n: int) -> dict[str, Callable[..., Any]]:
        heads = setting.heads

        def of_heads(table: Floats) -> Floats:
            return table[part].reshape(heads, *table.shape[2:])

        return {
            "weights": lambda window: of_heads(weights_of_last(window))[:, :, :n],
            "queries": lambda window: of_heads(last(window)),
            "keys": lambda: keys()[part, :n],
            "values": lambda: values()[part, :n],
            "projected_norms": lambda: projected_norms(values()[part, :n], engine.wo[layer], heads),
        }

    def by_full_cache(steps: slice) -> Floats:
        if engine.future is None:
            raise CapabilityError(
                f"{engine.policy.label} asks for the uncompressed cache, which only a trace can answer"
            )
        first, last = block.start // engine.per_layer, block.stop // engine.per_layer
        parts = [
            engine.future(layer, sequence)()[:, steps]
            for layer in range(first, last)
            for sequence in range(setting.sequences)
        ]
        return np.concatenate([part.reshape(engine.rows, engine.group, *part.shape[1:]) for part in parts])

    def weights() -> Floats:
        if not attended:
            raise FutureError("the weights of a step are known after its queries have attended, not while selecting")
        return attended[0]

    def full_weights() -> Floats:
        row = by_full_cache(slice(number, number + 1))[:, :, 0]
        return np.where((ids >= 0)[:, None, :], np.take_along_axis(row, np.maximum(ids, 0)[:, None, :], -1), 0)

    def tokens() -> npt.NDArray[np.int32]:
        if engine.tokens is None:
            raise CapabilityError("the policy reads token ids, and this run has none")
        return engine.tokens[:, : newest + 1]  # a model may have run a lower layer further ahead

    sources: dict[str, Callable[..., Any]] = {
        "weights": weights,
        "full_weights": full_weights,
        "queries": last,
        "weights_of_last": weights_of_last,
        "keys": keys,
        "values": values,
        "newest_keys": lambda: slots.keys[block, newest],
        "protected": lambda: setting.protect.mask(ids, newest, setting.prompt),
        "tokens": tokens,
        "layer": layer_sources,
        "future": lambda: by_full_cache(slice(number + 1, None)),
    }
    live, counted, budget = (_read_only(part) for part in (ids, count, engine.budgets[block]))
    return Step(setting, engine.needs, number, newest, block, live, counted, budget, sources)


def _read_only(table: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The engine's own numbers, as a policy may look at them."""
    seen = table.view()
    seen.flags.writeable = False
    return seen


def _gathered(table: Floats, rows: npt.NDArray[np.int64], ids: npt.NDArray[np.int32]) -> Floats:
    """Rows of a table of all slots at the live ones: [streams, slots, head_dim]; zeros at no slot."""
    return np.where((ids >= 0)[:, :, None], table[rows, np.maximum(ids, 0)], table.dtype.type(0))
