"""What a policy may not do, whatever it is: each rule raises when it is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...policies.kv.actions import Action, Evict, Merge, Select
from .errors import ActionError

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["check_budgets", "check_protected", "check_shares", "readable"]


def check_protected(engine: Engine, action: Action, number: int) -> None:
    """Nothing protected is evicted, nor merged into another slot.

    Parameters
    ----------
    engine : Engine
    action : Action
    number : int
        Of the decoding step; -1 at the end of the prompt.
    """
    protect, prompt = engine.setting.protect, engine.setting.prompt
    if not protect.slots or not isinstance(action, Evict | Merge):
        return
    ids = action.ids if isinstance(action, Evict) else action.sources
    streams = action.streams if isinstance(action, Evict) else np.full(len(ids), action.stream)
    held = protect.mask(ids, prompt + number, prompt)
    if any(window is not None for window in engine.windows):  # what slides out of a window is beyond protection
        reach = np.array([engine.setting.capacity if window is None else window for window in engine.windows])
        held &= ids > prompt + number + 1 - reach[streams // engine.per_layer]
    if held.any():
        at = int(np.argmax(held))
        raise ActionError(
            f"{engine.policy.label} evicts slot {int(ids[at])} of stream {int(streams[at])}, which is protected ({protect})"
        )


def check_shares(engine: Engine) -> None:
    """At the end of a prompt: no stream holds more than its share, and the shares are no more than there is."""
    check_budgets(engine, slice(0, len(engine.budgets)), 0)
    if engine.policy.selects or engine.policy.spec.name == "full":
        return
    total, shared = engine.setting.budget * len(engine.budgets), int(engine.budgets.sum())
    if shared > total:
        raise ActionError(f"{engine.policy.label} shared out {shared:,} slots, and there are {total:,}")


def check_budgets(engine: Engine, block: slice, above: int) -> None:
    """No stream holds more than its share and so many above it; what is selected from is not limited, see `readable`."""
    if engine.policy.selects:
        return
    over = engine.slots.count[block] - engine.budgets[block] - above
    if (over > 0).any():
        row = block.start + int(np.argmax(over > 0))
        raise ActionError(
            f"{engine.policy.label}: stream {row} holds {int(engine.slots.count[row])} slots, "
            f"and may hold {int(engine.budgets[row]) + above}"
        )


def readable(engine: Engine, selected: Select, ids: npt.NDArray[np.int32], block: slice) -> npt.NDArray[np.bool_]:
    """A selection is of slots that are there, of some for each query, and of no more than the budget and the newest.

    Returns
    -------
    bool[streams, queries of a stream, slots]
    """
    expected = (len(ids), engine.group, ids.shape[1])
    if selected.read.shape != expected:
        raise ActionError(f"a selection of shape {selected.read.shape} was expected to be {expected}")
    read = selected.read
    if (read & (ids < 0)[:, None, :]).any():
        raise ActionError("a selection reads slots that are not resident")
    if not read.any(2).all():
        raise ActionError("a selection reads nothing at all for some query")
    much = read.sum(2).max(1)
    allowed = engine.budgets[block] + 1 + engine.policy.slack
    if (much > allowed).any():
        row = int(np.argmax(much > allowed))
        raise ActionError(
            f"{engine.policy.label}: a query reads {int(much[row])} slots, and may read {int(allowed[row])}"
        )
    return read
