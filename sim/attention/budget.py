"""How many slots a head may hold, as people write it."""

from __future__ import annotations

from dataclasses import dataclass

from ...traces.errors import UnitError, UsageError

__all__ = ["Budget"]

MOST = 10**9
"""Slots beyond which more make no difference, whatever the text."""


@dataclass(frozen=True)
class Budget:
    """Slots for each KV head, or a share of the prompt.

    Attributes
    ----------
    text : str
        As given: ``"64"`` or ``"10%"``.
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read ``"64"`` or ``"10%"``.

        Raises
        ------
        UnitError
            Neither.
        """
        budget = cls(text.strip())
        budget.slots(1000)
        return budget

    def slots(self, prompt: int) -> int:
        """Slots for a prompt of so many tokens.

        Raises
        ------
        UnitError
            The text is neither a whole number nor a percentage.
        UsageError
            It leaves no slot.
        """
        try:
            if self.text.endswith("%"):
                share = float(self.text[:-1])
                if not 0 < share <= 100:
                    raise UsageError(f"a budget of {self.text} is not between 0% and 100% of the prompt")
                return max(int(prompt * share / 100), 1)
            slots = min(int(self.text), MOST)
        except ValueError:
            raise UnitError(
                f"a budget of {self.text!r} is neither slots per KV head (64) nor a share of the prompt (10%)"
            ) from None
        if slots < 1:
            raise UsageError(f"a budget of {slots} slots leaves nothing to attend to")
        return slots
