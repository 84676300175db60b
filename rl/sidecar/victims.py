"""From the values of the candidates to those that go: the most valuable evictions first, until there is room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .protocol import FEATURES

__all__ = ["Decision", "choose_victims"]

SIZE = FEATURES.index("size_bytes")

LARGEST_SHARE = 8
"""At most one candidate in so many goes at a time (but one always may): the next decision sees new ones."""


@dataclass(frozen=True)
class Decision:
    """Who goes.

    Attributes
    ----------
    mask : int
        Bit i is set to evict candidate i.
    victims : int
        Bits set.
    not_lru : int
        Victims that would not be among as many of the first candidates, those that plain LRU evicts.
    """

    mask: int
    victims: int
    not_lru: int


def choose_victims(q: npt.NDArray[Any], candidates: npt.NDArray[Any], need_bytes: float) -> Decision:
    """Choose by falling `q` until the sizes reach `need_bytes`: at least one, at most one in eight.

    Of equal values the earlier candidate goes first, so that a model without an opinion is LRU.

    Parameters
    ----------
    q : float32[k]
        Value of evicting each candidate.
    candidates : float32[k, 11]
        Rows with a negative size are not candidates and never go.
    need_bytes : float
        0 or less: one victim.

    Raises
    ------
    FloatingPointError
        The value of a candidate is not a finite number.
    """
    sizes = candidates[:, SIZE]
    present = np.flatnonzero(sizes >= 0)
    if not np.isfinite(q[present]).all():
        raise FloatingPointError("the model's value of a candidate is not a finite number")
    limit = max(1, len(candidates) // LARGEST_SHARE)
    order = present[np.argsort(-q[present], kind="stable")]
    chosen: list[int] = []
    freed = 0.0
    for i in order[:limit]:
        chosen.append(int(i))
        freed += float(sizes[i])
        if freed >= need_bytes:
            break
    lru = set(present[: len(chosen)].tolist())
    return Decision(sum(1 << i for i in chosen), len(chosen), len(set(chosen) - lru))
