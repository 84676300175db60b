"""Slots that no policy may evict: the same for all of them, so that scorers are compared and not protections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...traces.errors import UsageError

__all__ = ["BudgetError", "Protect"]


class BudgetError(UsageError):
    """A budget is below what is protected, or a policy's own window."""


@dataclass(frozen=True)
class Protect:
    """First tokens, last tokens of the prompt, and the most recent tokens.

    Attributes
    ----------
    sink : int
        The first so many tokens.
    boundary : int
        The last so many tokens of the prompt.
    recent : int
        The newest so many tokens.
    """

    sink: int = 0
    boundary: int = 0
    recent: int = 0

    @classmethod
    def parse(cls, text: str) -> Protect:
        """Read ``"sink=4,recent=16"``, or ``"none"``.

        Raises
        ------
        UsageError
            Another word, or a number that is negative.
        """
        if text.strip().lower() in ("", "none"):
            return cls()
        values: dict[str, int] = {}
        for word in text.split(","):
            name, equals, number = word.strip().partition("=")
            if name not in ("sink", "boundary", "recent") or not equals or not number.strip().isdigit():
                raise UsageError(
                    f"protection {word.strip()!r} is none of sink=N, boundary=N and recent=N; "
                    "for example: --protect sink=4,recent=16"
                )
            if name in values:
                raise UsageError(f"protection {text!r} gives {name} twice")
            values[name] = int(number)
        return cls(**values)

    def __str__(self) -> str:
        said = [f"{name}={n}" for name in ("sink", "boundary", "recent") if (n := getattr(self, name))]
        return ",".join(said) or "none"

    @property
    def slots(self) -> int:
        """How many slots it holds at most."""
        return self.sink + self.boundary + self.recent

    def slots_with(self, forced: int) -> int:
        """How many it holds at most together with the newest `forced` ones, which a policy itself keeps."""
        return self.sink + self.boundary + max(self.recent, forced)

    def mask(self, ids: npt.NDArray[np.int32], newest: int, prompt: int) -> npt.NDArray[np.bool_]:
        """Which of these slots are protected.

        Parameters
        ----------
        ids : int32[...]
            Positions; -1 is no slot and is never protected.
        newest : int
            Position of the newest token.
        prompt : int
            Tokens of the prompt.
        """
        held = (ids < self.sink) | (ids > newest - self.recent)
        if self.boundary:
            held |= (ids >= prompt - self.boundary) & (ids < prompt)
        return np.asarray(held & (ids >= 0))

    def check(self, budget: int, forced: int, who: str) -> None:
        """Refuse a budget that the protected slots fill beyond its end.

        Parameters
        ----------
        budget : int
            Slots.
        forced : int
            Most recent slots that the policy itself always keeps.
        who : str
            The policy, for the message.

        Raises
        ------
        BudgetError
            With the arithmetic.
        """
        recent, least = max(self.recent, forced), self.slots_with(forced)
        if budget < max(least, 1):
            parts = [f"{self.sink} sink", f"{self.boundary} boundary", f"{recent} recent"]
            if forced > self.recent:
                parts[2] += f" (the window of {who})"
            raise BudgetError(
                f"a budget of {budget} slots is below what is protected: {' + '.join(parts)} = {least}. "
                f"Give {who} at least {max(least, 1)}, or protect less."
            )
