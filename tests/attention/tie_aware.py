"""Comparing two sets of kept keys where scores tie: who chose otherwise must have had the right to."""

from __future__ import annotations

import numpy as np

__all__ = ["contradiction"]


def contradiction(mine, theirs, score, tol=0.0):
    """Say why two sets cannot both be the keys of highest score, or return None.

    Parameters
    ----------
    mine, theirs : bool[keys]
        What is kept.
    score : float[keys]
        By which `theirs` was chosen; higher = kept.
    tol : float
        How far two scores may be apart and still count as equal. At 0 only exact ties may swap.
    """
    if mine.sum() != theirs.sum():
        return f"{mine.sum()} keys are kept, and {theirs.sum()} by the other"
    if not theirs.any() or theirs.all():
        return None
    score = np.minimum(np.asarray(score, np.float64), np.finfo(np.float64).max)  # inf - inf is no difference
    cut, best_left = score[theirs].min(), score[~theirs].max()
    if best_left > cut + tol:
        return f"the other left {best_left} behind and kept {cut}: it did not choose by this score"
    swapped = np.flatnonzero(mine != theirs)
    wrong = [int(key) for key in swapped if abs(score[key] - cut) > tol]
    return f"keys {wrong} differ, and their scores are not those of the cut ({cut})" if wrong else None
