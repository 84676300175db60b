"""The size on disk over time: peak, mean, and samples."""

from __future__ import annotations

from array import array

import numpy as np
import numpy.typing as npt

from .delay import TICKS

__all__ = ["Meter"]


class Meter:
    """Bytes and objects on disk, now and so far.

    Attributes
    ----------
    bytes, objects : int
        On disk now; bytes in blocks, or objects where the capacity counts objects.
    peak, peak_objects : int
    """

    def __init__(self) -> None:
        self.bytes = self.objects = self.peak = self.peak_objects = 0
        self._area = 0
        self._since = self._changed = -1
        self._at, self._bytes, self._objects = array("q"), array("q"), array("q")

    def add(self, n_bytes: int, objects: int, now: int) -> None:
        """Note that so much came or, below 0, went at tick `now`."""
        if self._since < 0:
            self._since = self._changed = now
        self._area += self.bytes * (now - self._changed)
        self._changed = now
        self.bytes += n_bytes
        self.objects += objects
        if self.bytes > self.peak:
            self.peak = self.bytes
        if self.objects > self.peak_objects:
            self.peak_objects = self.objects

    def sample(self, now: int) -> None:
        """Keep what is on disk at tick `now`."""
        self._at.append(now)
        self._bytes.append(self.bytes)
        self._objects.append(self.objects)

    def mean(self, now: int) -> float:
        """Return the mean of the bytes from the first object up to tick `now`, weighted by time."""
        whole = now - self._since
        return (self._area + self.bytes * (now - self._changed)) / whole if self._since >= 0 and whole else self.bytes

    def series(self, begin: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the samples: seconds after tick `begin`, bytes, objects."""
        seconds = (np.array(self._at, np.int64) - begin) / TICKS
        return seconds, np.array(self._bytes, np.int64), np.array(self._objects, np.int64)
