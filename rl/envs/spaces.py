"""What is seen and what can be done, as Gymnasium's spaces."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from ...policies.learned.candidates import MOST_CANDIDATES
from ...policies.learned.facts import CONTEXT, FEATURES, MISSING, N_CONTEXT, N_FEATURES
from ...traces.errors import UnknownNameError, UsageError

__all__ = ["PAPER", "SIZE", "admit_space", "evict_space", "hide", "kept_features"]

PAPER = tuple(FEATURES)[:6]
"""The features of the Cold-RL paper."""

SIZE = tuple(FEATURES).index("size_bytes")


def evict_space(k: int) -> spaces.Dict:
    """What is seen at an eviction among `k` candidates.

    Raises
    ------
    UsageError
        Fewer candidates than 2 (one is the newcomer), or more than 64.
    """
    if not 2 <= k <= MOST_CANDIDATES:
        raise UsageError(
            f"k={k} candidates: give 2 to {MOST_CANDIDATES}, as many as the mask of a decision has bits; one is the newcomer"
        )
    return spaces.Dict(
        {
            "candidates": spaces.Box(MISSING, np.inf, (k, N_FEATURES), np.float32),
            "context": spaces.Box(0.0, np.inf, (N_CONTEXT,), np.float32),
            "mask": spaces.MultiBinary(k),
        }
    )


def admit_space() -> spaces.Dict:
    """What is seen at an admission."""
    return spaces.Dict(
        {
            "newcomer": spaces.Box(MISSING, np.inf, (N_FEATURES,), np.float32),
            "victim": spaces.Box(MISSING, np.inf, (N_FEATURES,), np.float32),
            "context": spaces.Box(0.0, np.inf, (N_CONTEXT,), np.float32),
        }
    )


def kept_features(features: str | Iterable[str]) -> npt.NDArray[np.bool_]:
    """Which features are to be seen, bool[N_FEATURES].

    Parameters
    ----------
    features : str or iterable of str
        ``"all"``, ``"paper"`` (the first six), one name, or several.

    Raises
    ------
    UnknownNameError
        A feature that does not exist, with the nearest names.
    """
    named = (
        {"all": tuple(FEATURES), "paper": PAPER}.get(features, (features,)) if isinstance(features, str) else features
    )
    wanted = set(named)
    for name in sorted(wanted):
        if name not in FEATURES:
            raise UnknownNameError(
                "feature", name, ("all", "paper", *FEATURES), f"The context ({', '.join(CONTEXT)}) is always seen."
            )
    return np.array([name in wanted for name in FEATURES])


def hide(rows: npt.NDArray[np.float32], kept: npt.NDArray[np.bool_]) -> None:
    """Overwrite the features that are not to be seen with `MISSING`, in place.

    A size becomes 1: that it is `MISSING` says that a row is nobody.

    Parameters
    ----------
    rows : float32[..., N_FEATURES]
    kept : bool[N_FEATURES]
    """
    if kept.all():
        return
    sizes = np.minimum(rows[..., SIZE], 1.0)
    rows[..., ~kept] = MISSING
    if not kept[SIZE]:
        rows[..., SIZE] = sizes
