"""What a decoding step takes: a fixed part, bytes that attention reads, bytes that appending and compacting move, and calls.

``time = fixed + read * s_per_read_byte + moved * s_per_moved_byte + calls * s_per_call``. The four numbers belong to a device,
a dtype and a way to attend; they are fitted on some measured steps and judged by others.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ....traces.errors import FormatError, UsageError

__all__ = ["TERMS", "StepTime", "Work", "fit_step_time"]

TERMS = ("fixed_s", "s_per_read_byte", "s_per_moved_byte", "s_per_call")
FORMAT = "evictlab-steptime/1"


@dataclass(frozen=True)
class Work:
    """What a step does.

    Attributes
    ----------
    read_bytes : int
        Keys and values that attention reads, pads included.
    moved_bytes : int
        Read and written again because slots are appended or closed up.
    calls : int
        Operations that torch is asked for.
    """

    read_bytes: int
    moved_bytes: int
    calls: int

    @property
    def closes_up(self) -> bool:
        """Whether slots leave: appending alone moves twice what is read, closing up as much again."""
        return self.moved_bytes > 2.5 * self.read_bytes

    def terms(self) -> list[float]:
        """What the coefficients are multiplied with."""
        return [1.0, float(self.read_bytes), float(self.moved_bytes), float(self.calls)]


@dataclass(frozen=True)
class StepTime:
    """Fitted coefficients and where they come from.

    Attributes
    ----------
    fixed_s, s_per_read_byte, s_per_moved_byte, s_per_call : float
        None is negative; a term that does not help is 0.
    device, torch, dtype, attention : str
        What they belong to.
    configurations : int
        Measured steps that were fitted.
    fit_error : float
        Median of ``|fitted - measured| / measured`` over them.
    least_read_bytes, most_read_bytes : int
        The range that was fitted: beyond it a prediction is a guess.
    about : dict
        Trace, command, machine and the like.
    """

    fixed_s: float
    s_per_read_byte: float
    s_per_moved_byte: float
    s_per_call: float
    device: str = ""
    torch: str = ""
    dtype: str = ""
    attention: str = ""
    configurations: int = 0
    fit_error: float = float("nan")
    least_read_bytes: int = 0
    most_read_bytes: int = 0
    about: dict[str, Any] = field(default_factory=dict)

    def predict(self, work: Work) -> float:
        """Seconds that a step takes."""
        return float(np.dot([getattr(self, name) for name in TERMS], work.terms()))

    @property
    def file_name(self) -> str:
        """By device, dtype and attention: ``steptime_nvidia_h100_80gb_hbm3_float16_sdpa.json``."""
        return _file_name(self.device, self.dtype, self.attention)

    def write(self, folder: Path) -> Path:
        """Write them as JSON and return the file."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.file_name
        path.write_text(json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=1) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, folder: Path, device: str, dtype: str, attention: str = "sdpa") -> StepTime:
        """Read the coefficients of a device.

        Raises
        ------
        UsageError
            There are none; those that are there are named.
        FormatError
            The file is damaged.
        """
        path = folder / _file_name(device, dtype, attention)
        if not path.is_file():
            there = ", ".join(sorted(each.name for each in folder.glob("steptime_*.json"))) or "none"
            raise UsageError(
                f"no step times of {device!r}, {dtype}, {attention} in {folder} (there: {there}); "
                "measure them: evictlab check gpu attention TRACE --device cuda"
            )
        return cls.read(path)

    @classmethod
    def read(cls, path: Path) -> StepTime:
        """Read a file that `write` wrote.

        Raises
        ------
        UsageError
            There is no such file.
        FormatError
            It holds no step times.
        """
        if not path.is_file():
            raise UsageError(f"no step times {path}; measure them: evictlab check gpu attention TRACE --device cuda")
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            if held.pop("format") != FORMAT:
                raise KeyError("format")
            return cls(**held)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(path, f"holds no step times ({error})", hint="Measure them again.") from None


def fit_step_time(works: Sequence[Work], seconds: Sequence[float] | npt.NDArray[np.float64], **about: Any) -> StepTime:
    """Fit the coefficients by least squares of relative errors; none may be negative.

    Steps differ by factors of hundreds, so that absolute errors would leave the short ones to chance. Of all subsets of the
    four terms, the best that needs no negative coefficient is taken.

    Parameters
    ----------
    works : sequence of Work
    seconds : sequence of float
    **about
        Other fields of `StepTime`.

    Raises
    ------
    UsageError
        Fewer steps than coefficients.
    """
    times = np.asarray(seconds, np.float64)
    if len(works) < len(TERMS):
        raise UsageError(
            f"{len(works)} measured steps cannot fit {len(TERMS)} coefficients; give more budgets or policies"
        )
    table = np.array([work.terms() for work in works]) / times[:, None]
    size = np.maximum(np.abs(table).max(0), 1e-300)  # columns of one size, or the small ones would be lost
    best, least = np.zeros(len(TERMS)), np.inf
    for many in range(1, len(TERMS) + 1):
        for chosen in itertools.combinations(range(len(TERMS)), many):
            some = list(chosen)
            found = np.linalg.lstsq(table[:, some] / size[some], np.ones(len(times)), rcond=None)[0] / size[some]
            left = float(((table[:, some] @ found - 1) ** 2).sum())
            if (found >= 0).all() and left < least * (1 - 1e-9):
                best, least = np.zeros(len(TERMS)), left
                best[some] = found
    read = [work.read_bytes for work in works]
    fitted = dataclasses.replace(
        StepTime(float(best[0]), float(best[1]), float(best[2]), float(best[3])),
        configurations=len(works),
        least_read_bytes=min(read),
        most_read_bytes=max(read),
        **about,
    )
    off = [abs(fitted.predict(work) - time) / time for work, time in zip(works, times, strict=True)]
    return dataclasses.replace(fitted, fit_error=float(np.median(off)))


def _file_name(device: str, dtype: str, attention: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "_", device.lower()).strip("_")
    return f"steptime_{slug}_{dtype}_{attention}.json"
