"""Bytes and times of real tensors: CUDA's allocator and events, or on a CPU the tensors' storage and its clock."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ....traces.errors import UsageError
from .cache import LayerCache

__all__ = ["Memory", "Timing", "device_name", "exact_products", "find_device", "timed"]


def find_device(name: str) -> torch.device:
    """Return a device that is there.

    Raises
    ------
    UsageError
        No such device here.
    """
    kind = name.partition(":")[0]
    if kind not in ("cpu", "cuda"):
        raise UsageError(f"device {name!r} is neither cuda nor cpu; for example: --device cpu")
    if kind == "cuda" and not torch.cuda.is_available():
        built = "this torch is built without CUDA" if torch.version.cuda is None else "torch finds no CUDA device"
        raise UsageError(f"{name}: {built} ({torch.__version__}). The same check runs on the processor: --device cpu")
    device = torch.device(name)
    if kind == "cuda":
        if (device.index or 0) >= torch.cuda.device_count():
            raise UsageError(f"{name}: there are {torch.cuda.device_count()} CUDA devices here, from cuda:0")
        device = torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
        torch.cuda.set_device(device)
    return device


def device_name(device: torch.device) -> str:
    """What the device is called; times belong to it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


@contextmanager
def exact_products() -> Iterator[None]:
    """Matrix products that accumulate in float32 and do not shorten their factors, as the bounds of `rounding` assume."""
    products, before = torch.backends.cuda.matmul, torch.get_float32_matmul_precision()
    names = ("allow_fp16_reduced_precision_reduction", "allow_bf16_reduced_precision_reduction")
    held = {name: getattr(products, name) for name in names}
    torch.set_float32_matmul_precision("highest")  # else float32 may mean TF32, with 10 bits
    for name in names:
        setattr(products, name, False)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        for name, value in held.items():
            setattr(products, name, value)


class Memory:
    """What caches take, measured from what is taken when it is made.

    On CUDA it is what was asked of the allocator since then: nothing but caches may be made and kept in between. Elsewhere
    it is the sum of the caches' storages.

    Parameters
    ----------
    device : torch.device

    Attributes
    ----------
    blocks : int or None
        The most that was held in the allocator's blocks, which are multiples of 512 bytes.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.blocks: int | None = None
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
            self._asked, self._blocks = self._stats()

    def _stats(self) -> tuple[int, int]:
        stats = torch.cuda.memory_stats(self.device)
        return int(stats["requested_bytes.all.current"]), int(stats["allocated_bytes.all.current"])

    def held(self, caches: Sequence[LayerCache]) -> int:
        """Bytes that the caches take now."""
        if self.device.type != "cuda":
            return sum(part.untyped_storage().nbytes() for cache in caches for part in cache.storages())
        asked, blocks = self._stats()
        self.blocks = max(self.blocks or 0, blocks - self._blocks)
        return asked - self._asked

    def most(self) -> int | None:
        """The most that was held at any moment, whatever it was for; None where that is not known."""
        if self.device.type != "cuda":
            return None
        return int(torch.cuda.max_memory_allocated(self.device)) - self._blocks


@dataclass(frozen=True)
class Timing:
    """Many repetitions of one piece of work.

    Attributes
    ----------
    median_s : float
    iqr_s : float
        Between the quarters.
    repeats : int
    """

    median_s: float
    iqr_s: float
    repeats: int


def timed(work: Callable[[], object], device: torch.device, *, repeats: int = 30, warm_up: int = 5) -> Timing:
    """Time a piece of work: by CUDA events around each repetition, or by the clock.

    Parameters
    ----------
    work : callable
    device : torch.device
    repeats, warm_up : int
        Repetitions that count, and those before them.
    """
    for _ in range(warm_up):
        work()
    if device.type == "cuda":
        # As Any: torch annotates events in some versions and not in others.
        event: Any = torch.cuda.Event
        pairs = [(event(enable_timing=True), event(enable_timing=True)) for _ in range(repeats)]
        torch.cuda.synchronize(device)
        for begin, end in pairs:
            begin.record()
            work()
            end.record()
        torch.cuda.synchronize(device)
        seconds = [begin.elapsed_time(end) / 1000 for begin, end in pairs]
    else:
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
    low, middle, high = np.quantile(seconds, (0.25, 0.5, 0.75))
    return Timing(float(middle), float(high - low), repeats)
