"""What an episode plays: a trace, a capacity, where it begins and with which seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...sim.plan import Capacity, capacity_of
from ...traces.errors import UnknownNameError, UsageError
from ...traces.units import Size

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["Episode", "Episodes", "Traces", "opened"]

Traces = Any  # RequestTrace | str | Path, or a sequence of them; an alias that loads nothing

_ORDERS = ("drawn", "in turn")
_STARTS = ("beginning", "random")
_OPTIONS = ("trace", "capacity", "start")


@dataclass(frozen=True)
class Episode:
    """One episode.

    Attributes
    ----------
    trace : int
        Its number among the traces.
    capacity : Capacity
    start : int
        The first request that is played.
    seed : int
        Of the candidates that are drawn, or of a policy that draws.
    """

    trace: int
    capacity: Capacity
    start: int
    seed: int


def opened(trace: Traces) -> list[RequestTrace]:
    """Open each trace of a list: a `RequestTrace` as it is, a path, or the text form of a generator.

    Raises
    ------
    UsageError
        There is none, or one has no requests.
    """
    from ...traces.generate import GENERATORS, generate
    from ...traces.open import open_trace

    found: list[RequestTrace] = []
    for one in trace if isinstance(trace, (list, tuple)) else [trace]:
        text = str(one) if isinstance(one, (str, Path)) else ""
        if not text:
            found.append(one)
        elif not Path(text).exists() and text.partition(":")[0].strip().lower() in GENERATORS:
            found.append(generate(text))
        else:
            found.append(open_trace(text))
    if not found:
        raise UsageError("there is nothing to play: give a trace, as in trace='trap:seed=1' or a path")
    for made in found:
        if not len(made):
            raise UsageError(f"{made.name} has no requests")
    return found


class Episodes:
    """Draws episodes.

    Parameters
    ----------
    trace : RequestTrace, str, Path, or a list of these
    capacity : str, Size, or a list of these
        All in bytes, or all in objects; a percentage is of each trace's footprint.
    order : {"drawn", "in turn"}
        Whether trace and capacity are drawn anew for each episode, or every capacity of every trace has its turn.
    start : {"beginning", "random"}
        Random: any request after which `length` more follow; without `length`, any of the first half.
    length : int or None

    Attributes
    ----------
    traces : list of RequestTrace
    capacities : list of list of Capacity
        By trace.
    byte_sizes : bool
    length : int
        Requests after which an episode is cut off; the largest int64 for never.

    Raises
    ------
    UsageError
        Also `UnitError`, `UnknownNameError`.
    """

    def __init__(
        self,
        trace: Traces,
        capacity: str | Size | Sequence[str | Size],
        *,
        order: str = "drawn",
        start: str = "beginning",
        length: int | None = None,
    ) -> None:
        for what, given, known in (("order", order, _ORDERS), ("start", start, _STARTS)):
            if given not in known:
                raise UnknownNameError(what, given, known)
        if length is not None and length < 1:
            raise UsageError(f"an episode of {length} requests has nothing to decide; give at least 1, or None")
        self.traces = opened(trace)
        sizes = [capacity] if isinstance(capacity, (str, Size)) else list(capacity)
        if not sizes:
            raise UsageError("there is no capacity: give one, as in capacity='25MB' or '5000obj'")
        self.capacities = [[capacity_of(size, one) for size in sizes] for one in self.traces]
        kinds = {one.byte_sizes for some in self.capacities for one in some}
        if len(kinds) > 1:
            raise UsageError(
                f"the capacities {', '.join(str(size) for size in sizes)} count objects in one episode and bytes in another; "
                "rewards would not compare. Give all in bytes, or all in objects"
            )
        self.byte_sizes = kinds.pop()
        self.length = np.iinfo(np.int64).max if length is None else length
        self._in_turn, self._random_start, self._given_length = order == "in turn", start == "random", length

    def __len__(self) -> int:
        """Pairs of a trace and a capacity."""
        return len(self.traces) * len(self.capacities[0])

    def draw(self, rng: np.random.Generator, number: int, options: Mapping[str, Any] | None = None) -> Episode:
        """Return the next episode.

        Parameters
        ----------
        rng : Generator
        number : int
            How many came before; which one it is when they are played in turn.
        options : mapping, optional
            ``trace`` and ``capacity`` (numbers within the lists) and ``start`` (a request) are not drawn when given.

        Raises
        ------
        UsageError
            An option that does not exist, or is out of range.
        """
        options = options or {}
        unknown = set(options) - set(_OPTIONS)
        if unknown:
            raise UnknownNameError("option of reset", sorted(unknown)[0], _OPTIONS)
        pair = number % len(self) if self._in_turn else int(rng.integers(len(self)))
        trace, capacity = divmod(pair, len(self.capacities[0]))
        trace = _within("trace", options.get("trace", trace), len(self.traces))
        capacity = _within("capacity", options.get("capacity", capacity), len(self.capacities[0]))
        n = len(self.traces[trace])
        start = 0
        if self._random_start:
            latest = n // 2 if self._given_length is None else max(n - self._given_length, 0)
            start = int(rng.integers(latest + 1))
        start = _within("start", options.get("start", start), n)
        return Episode(trace, self.capacities[trace][capacity], start, int(rng.integers(2**63)))


def _within(what: str, number: Any, n: int) -> int:
    if not 0 <= int(number) < n:
        raise UsageError(f"{what}={number} is not among 0 .. {n - 1}")
    return int(number)
