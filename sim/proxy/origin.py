"""The origin: how long a response takes from where it is kept for good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...traces.errors import CapabilityError, UsageError
from ...traces.units import parse_size
from .delay import TICKS, Delay, parse_delay, ticks_of

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["Origin", "Took", "parse_origin", "parse_rate"]

Took = Callable[[int, int, bool], int]
"""(index of the request, bytes of the body, only revalidated?) -> ticks."""


@dataclass(frozen=True)
class Origin:
    """How long the origin takes.

    Attributes
    ----------
    round_trip : Delay or None
        Until the first byte; None = the whole time is `RequestTrace.costs`.
    bytes_per_s : float or None
        Then the body at this rate; None = at once.
    """

    round_trip: Delay | None
    bytes_per_s: float | None = None

    def timer(self, trace: RequestTrace, seed: int) -> Took:
        """Return the function that says how long each fetch takes.

        A revalidation is a round trip without a body; where the times are those of the trace, which do not tell the two
        apart, it takes the whole time.

        Raises
        ------
        CapabilityError
            The trace lacks the column that is needed.
        """
        if self.round_trip is None:
            if trace.costs is None:
                raise CapabilityError(
                    f"{trace.name or 'the trace'} does not say how long the origin took; "
                    "give it, as in --origin-rtt 50ms or 50ms+50MB/s"
                )
            costs = trace.costs
            return lambda i, size, revalidated: ticks_of(float(costs[i]))
        draw = self.round_trip.drawer(seed)
        if self.bytes_per_s is None:
            return lambda i, size, revalidated: draw()
        if trace.sizes is None:
            raise CapabilityError(
                f"{trace.name or 'the trace'} has no sizes, by which a transfer could take time; "
                "leave out the bandwidth, as in --origin-rtt 50ms"
            )
        per_byte = TICKS / self.bytes_per_s
        return lambda i, size, revalidated: draw() + (0 if revalidated else round(size * per_byte))


def parse_origin(text: str | float | Origin) -> Origin:
    """Read ``trace``, ``50ms``, ``50ms+50MB/s`` or ``lognormal:median=50ms:sigma=0.5`` (also with ``+50MB/s``).

    Raises
    ------
    UnitError, UsageError
        A part that cannot be read.
    """
    if isinstance(text, Origin):
        return text
    if not isinstance(text, str):
        return Origin(parse_delay(text))
    if text.strip() == "trace":
        return Origin(None)
    delay, plus, rate = text.partition("+")
    return Origin(parse_delay(delay), parse_rate(rate) if plus else None)


def parse_rate(text: str) -> float:
    """Read ``50MB/s`` as bytes per second.

    Raises
    ------
    UnitError, UsageError
    """
    amount, slash, per = text.strip().partition("/")
    size = parse_size(amount)
    if size.kind != "bytes" or slash != "/" or per.strip() != "s":
        raise UsageError(f"{text!r} is no bandwidth; write it as 50MB/s")
    return float(size.value)
