"""Which part of a source becomes the trace: blocks, a time range, a sample, the first requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from .batch import Account, Batch
from .errors import UsageError
from .sample import check_rate, head, sample_batches, time_slice_batches
from .split import split_blocks

__all__ = ["Selection"]


@dataclass(frozen=True)
class Selection:
    """What is done with the requests of a source while it is read, in this order; None is left out.

    Attributes
    ----------
    limit : int, optional
        Only the first so many requests.
    start_s, stop_s : float, optional
        Only requests from `start_s` on and before `stop_s`, in seconds after the first.
    split_bytes : int, optional
        One request per block of so many bytes that a request touches (`split_blocks`).
    address_bytes : int, optional
        With `split_bytes`: bytes from one key to the next, 512 for sector numbers.
    sample : float, optional
        Only the requests for this share of the objects (`sample_objects`).
    seed : int
        Of the sample.
    """

    limit: int | None = None
    start_s: float | None = None
    stop_s: float | None = None
    split_bytes: int | None = None
    address_bytes: int | None = None
    sample: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"a trace of the first {self.limit} requests would be empty; at least 1")
        if self.split_bytes is not None and self.split_bytes < 1:
            raise UsageError(f"blocks of {self.split_bytes} bytes are not possible; at least 1, as in 4KiB")
        if self.stop_s is not None and self.stop_s <= (self.start_s or 0):
            raise UsageError(f"no request lies from {self.start_s or 0:g} s on and before {self.stop_s:g} s")
        if self.sample is not None:
            check_rate(self.sample)

    def to_dict(self) -> dict[str, Any]:
        """What was asked for, without what was left out."""
        return {name: value for name, value in asdict(self).items() if value not in (None, 0)}

    def apply(self, batches: Iterable[Batch], account: Account) -> Iterator[Batch]:
        """Select from normalised batches; `account` counts what splitting has to drop."""
        if self.limit is not None:
            batches = head(batches, self.limit)
        if self.start_s is not None or self.stop_s is not None:
            batches = time_slice_batches(batches, self.start_s or 0.0, self.stop_s)
        if self.split_bytes is not None:
            batches = split_blocks(batches, self.split_bytes, self.address_bytes or 1, account)
        if self.sample is not None:
            batches = sample_batches(batches, self.sample, self.seed)
        return iter(batches)
