"""What a policy may know when a replay begins: how many objects, how much room, which seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..traces.errors import CapabilityError

if TYPE_CHECKING:
    from ..traces.request import RequestTrace

__all__ = ["Setting"]


@dataclass(frozen=True)
class Setting:
    """The ground on which a policy builds its state.

    Attributes
    ----------
    n_objects : int
        Objects are numbered 0 .. n_objects-1.
    capacity : int
        Bytes, or objects when `stored` is None.
    stored : int64[n_objects] or None
        Bytes charged for each resident object, 0 when it is not resident. The replay loop writes it (before `insert`,
        and after `evict`), the policy only reads it, through `weight`. None when sizes are off.
    seed : int
    costs : float32[n_requests], seconds, or None
        What a miss of each request takes at the origin.
    request_sizes : int64[n_requests], bytes, or None
        Sizes of the requests, for policies that tune themselves to the distribution of sizes before they start.
    future : callable returning int32[n_requests] or int64[n_requests], optional
        Index of the next request to the same object (the dtype's maximum: never). Called only by offline policies.
    trace : RequestTrace, optional
        The whole trace, for predictors that predict it before it is replayed.
    forecast : callable (kind) -> array[n_requests], optional
        What is predicted, see `predictions`.
    times : float64[n_requests], seconds, or None
        When each request came.
    ttls : float32[n_requests], seconds, or None
        How long the answer to each request is fresh; ``inf`` = always. None when nothing expires.
    """

    n_objects: int
    capacity: int
    stored: npt.NDArray[np.int64] | None = None
    seed: int = 0
    costs: npt.NDArray[np.float32] | None = None
    request_sizes: npt.NDArray[np.int64] | None = None
    future: Callable[[], npt.NDArray[Any]] | None = None
    trace: RequestTrace | None = None
    forecast: Callable[[str], npt.NDArray[Any]] | None = None
    times: npt.NDArray[np.float64] | None = None
    ttls: npt.NDArray[np.float32] | None = None

    @property
    def max_resident(self) -> int:
        """How many objects can be resident at once, at the most."""
        return self.n_objects if self.stored is not None else min(self.capacity, self.n_objects)

    def next_use(self) -> npt.NDArray[Any]:
        """Index of the next request to the same object, for each request.

        Raises
        ------
        CapabilityError
            When the requests are not known in advance (a live server, a stream).
        """
        if self.future is None:
            raise CapabilityError("an offline policy needs the whole trace in advance; here requests arrive one by one")
        return self.future()

    def predictions(self, kind: str) -> npt.NDArray[Any]:
        """What is predicted with each request: uint8[n_requests] bits, or float64[n_requests] times.

        Parameters
        ----------
        kind : str
            A key of `evictlab.policies.predictors.KINDS`.

        Raises
        ------
        CapabilityError
            Nobody predicts.
        PredictionError
            What is predicted cannot be used.
        """
        if self.forecast is None:
            raise CapabilityError(
                "predictions are needed: say whose, as in --predict pleco, or mark0@pleco. See: evictlab predictors"
            )
        return self.forecast(kind)

    def random_state(self) -> npt.NDArray[np.uint64]:
        """Return a fresh state for the random numbers of `evictlab.policies.random`, from the seed."""
        return np.asarray(np.random.SeedSequence(self.seed).generate_state(1, np.uint64), np.uint64)
