"""LHD's tables: counts by class and age fade, ages are coarsened, and hit densities computed anew; nothing is allocated.

Source: Beckmann, Chen, Cidon, NSDI 2018, section 4.2 and 5, see `evictlab.policies.cache.reuse.lhd`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...contract import helper

__all__ = ["CLASSES", "class_rows", "recompute"]

CLASSES = 16
_RESIDENTS, _MASS = 1, 2
_FADE = 0.9
_TOLERANCE = 0.01
_COARSEN_AT = (5, 25)
_HOLD = 8
_NOTHING = 1e-5


def class_rows(ages: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Return, for each sum of the last two ages, where its class begins in the tables.

    The class is how often the sum must be doubled to reach the length of the tables, at most 15: high for short ages.
    """
    with np.errstate(divide="ignore"):  # a sum of 0 can be doubled forever
        doublings = np.ceil(np.log2(ages / np.arange(2 * ages)))
    return (np.clip(doublings, 0, CLASSES - 1) * ages).astype(np.int32)


@helper
def recompute(density, hits, evictions, averages, n_residents, periods, shift):
    """Begin a new period, and return the shift that coarsens ages in it.

    Parameters
    ----------
    density : float32[classes * ages]
        Overwritten, except for the last age of each class.
    hits, evictions : float64[classes * ages]
        Fade, and move to coarser or finer ages when the shift changes.
    averages : float64[3]
        Places 1 and 2: fading sum of the number of residents, and of 1.
    n_residents, periods, shift : int
        Now, so far, and in the period that ends.
    """
    ages = len(density) // CLASSES
    for cell in range(len(hits)):
        hits[cell] *= _FADE
        evictions[cell] *= _FADE
    averages[_RESIDENTS] = averages[_RESIDENTS] * _FADE + n_residents
    averages[_MASS] = averages[_MASS] * _FADE + 1.0
    if periods == _COARSEN_AT[0] or periods == _COARSEN_AT[1]:
        best = averages[_RESIDENTS] / averages[_MASS] / (_TOLERANCE * ages)
        fitting = 1
        while (1 << fitting) < best:
            fitting += 1
        for row in range(0, len(hits), ages):
            _rescale(hits, row, ages, fitting - shift)
            _rescale(evictions, row, ages, fitting - shift)
        shift = fitting
        averages[_RESIDENTS] *= _HOLD
        averages[_MASS] *= _HOLD
    for row in range(0, len(hits), ages):
        _model(density, hits, evictions, row, ages)
    return shift


@helper
def _rescale(counts, row, ages, coarser):
    """Make ages coarser by a power of two, or finer when it is negative; the last age stays "all older"."""
    last = row + ages - 1
    if coarser > 0:
        for age in range(ages - 1):
            count = counts[row + age]
            counts[row + age] = 0.0
            counts[row + (age >> coarser)] += count
    elif coarser < 0:
        finer = -coarser
        for age in range(ages >> finer, ages - 1):
            counts[last] += counts[row + age]
        for age in range(ages - 2, -1, -1):
            counts[row + age] = counts[row + (age >> finer)] / (1 << finer)


@helper
def _model(density, hits, evictions, row, ages):
    """Hit density at each age: hits still to come, by the time that all who live so long still live."""
    last = row + ages - 1
    hits_to_come = hits[last]
    events = hits[last] + evictions[last]
    lifetime = events
    for cell in range(last - 1, row - 1, -1):
        hits_to_come += hits[cell]
        events += hits[cell] + evictions[cell]
        lifetime += events
        density[cell] = hits_to_come / lifetime if events > _NOTHING else 0.0
