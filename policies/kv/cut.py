"""Which slots a score leaves behind, with the one written rule for ties.

**The tie rule:** among equal scores, the older slot leaves first. Pooled and counted scores tie often, so that an answer
without such a rule is not reproducible.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...traces.errors import EvictlabError

__all__ = ["lowest", "top"]

Scores = npt.NDArray[np.floating]


def lowest(
    scores: Scores, ids: npt.NDArray[np.int32], drop: npt.NDArray[np.integer], held: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Mark the slots of lowest score in each stream.

    Parameters
    ----------
    scores : float[streams, slots]
        Higher = keep.
    ids : int32[streams, slots]
        Ascending; -1 is no slot.
    drop : int[streams]
        How many leave; as many as there are, if fewer may.
    held : bool[streams, slots]
        Must stay.

    Returns
    -------
    bool[streams, slots]

    Raises
    ------
    EvictlabError
        A score is not a number.
    """
    free = (ids >= 0) & ~held
    if np.isnan(scores[free]).any():
        raise EvictlabError("a score is not a number (NaN): it would decide nothing; see which input was NaN")
    marks = np.zeros(scores.shape, bool)
    if scores.shape[1] == 0 or not (drop > 0).any():
        return marks
    # What may not leave gets a value above all scores that may; infinite scores are kept apart by their rank.
    keyed = np.where(free, np.minimum(scores, np.finfo(scores.dtype).max), np.inf)
    if (drop <= 1).all():
        rows = np.flatnonzero((drop == 1) & free.any(1))
        marks[rows, keyed[rows].argmin(1)] = True
        return marks
    order = np.argsort(keyed, axis=1, kind="stable")
    take = np.arange(scores.shape[1])[None, :] < np.minimum(drop, free.sum(1))[:, None]
    np.put_along_axis(marks, order, take, axis=1)
    return marks


def top(scores: Scores, keep: npt.NDArray[np.integer] | int) -> npt.NDArray[np.bool_]:
    """Mark the slots of highest score in each row; among equals the newer one is kept.

    Parameters
    ----------
    scores : float[rows, slots]
    keep : int or int[rows]
        How many stay.

    Returns
    -------
    bool[rows, slots]
    """
    rows, slots = scores.shape
    kept = np.broadcast_to(np.asarray(keep), (rows,))
    ids = np.broadcast_to(np.arange(slots, dtype=np.int32), scores.shape)
    return ~lowest(scores, ids, np.maximum(slots - kept, 0), np.zeros(scores.shape, bool))
